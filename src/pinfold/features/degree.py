"""How often an item or user occurs, as a feature."""

import numpy as np
from numpy.typing import NDArray

from pinfold.arrays import Floats, Ints


def log_degrees(counts: NDArray[np.integer], known: Ints | None = None) -> Floats:
    """log(1 + count), mean 0 and deviation 1 over the rows `known` (none given: all). Shape (n, 1).

    The counts are those of the training graph, so that held-out events do not show.
    """
    logs = np.log1p(counts.astype(np.float64))
    training = logs if known is None else logs[known]
    deviation = float(training.std()) if len(training) else 0.0
    return ((logs - (training.mean() if len(training) else 0.0)) / (deviation or 1.0))[:, None].astype(np.float32)
