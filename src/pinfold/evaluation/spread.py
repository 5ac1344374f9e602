"""How widely vectors are spread: the distribution of cosines of random pairs."""

from dataclasses import dataclass

import numpy as np

from pinfold.arrays import Floats, check_array, unit

BLOCK = 1 << 16  # pairs whose vectors are held at once


@dataclass(frozen=True, slots=True)
class CosineSpread:
    """Moments of the cosines of pairs of vectors."""

    mean: float
    deviation: float
    kurtosis: float | None  # excess: 0 for a normal distribution; None where all cosines are equal
    n_pairs: int


def cosine_spread(vectors: Floats, *, seed: int, n_pairs: int = 1_000_000) -> CosineSpread:
    """Mean, deviation and excess kurtosis of the cosines of `n_pairs` pairs of different rows, drawn with replacement.

    Kurtosis is Fisher's, m4 / m2^2 - 3, without correction for bias. The paper does not say which it reports (fig. 4:
    PinSage 0.43, visual 1.20, annotation 2.49), but 0.43 can be no other: Pearson's, m4 / m2^2, is never below 1.

    Args:
        vectors: (N, D), finite; rows of zeros have no direction and are left out.
        seed: of the pairs.
        n_pairs: pairs drawn. Memory: 8 bytes a pair.

    Raises:
        TypeError: another dtype.
        ValueError: another shape, numbers that are not finite, fewer than two rows that are not zero, or no pairs.

    Ying et al., KDD 2018, section 4.4: the lower the kurtosis, the fewer collisions in locality-sensitive hashing.
    """
    check_array("vectors", vectors, np.float32, -1, -1)
    if not np.isfinite(vectors).all():
        raise ValueError("vectors must be finite")
    units = unit(vectors[vectors.any(axis=1)])
    n = len(units)
    if n < 2 or n_pairs < 1:
        raise ValueError(f"expected two vectors that are not zero and a pair, got {n} and {n_pairs}")
    rng = np.random.default_rng(seed)
    cosines = np.empty(n_pairs, np.float64)
    for start in range(0, n_pairs, BLOCK):
        size = min(BLOCK, n_pairs - start)
        left = rng.integers(n, size=size)
        right = (left + rng.integers(1, n, size=size)) % n  # another row
        cosines[start : start + size] = np.einsum("bd,bd->b", units[left], units[right])
    centered = cosines - cosines.mean()
    variance = float(np.mean(centered**2))
    # below the rounding of single precision nothing is left but noise
    kurtosis = float(np.mean(centered**4)) / variance**2 - 3 if variance > np.finfo(np.float32).eps ** 2 else None
    return CosineSpread(float(cosines.mean()), variance**0.5, kurtosis, n_pairs)
