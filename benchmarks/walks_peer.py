"""A process of walks.py: torch-cluster's `random_walk` on the same graph; JSON on stdout.

    PYTHON_WITH_TORCH_CLUSTER walks_peer.py FOLDER N_SOURCES STEPS ROUNDS

It walks without restart, in a homogeneous graph (items, then users), two hops for a step, and keeps every node of them.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
import torch
import torch_cluster


def main() -> None:
    """A round to warm up, then the others."""
    folder = Path(sys.argv[1])
    n_sources, steps, rounds = (int(text) for text in sys.argv[2:])
    torch.set_num_threads(1)
    item_ptr, item_users, user_ptr, user_items, rows = (
        np.load(folder / f"{name}.npy") for name in ("item_ptr", "item_users", "user_ptr", "user_items", "rows")
    )
    n_items = len(item_ptr) - 1
    ptr = torch.from_numpy(np.concatenate([item_ptr, user_ptr[1:] + len(item_users)]))
    column = torch.from_numpy(np.concatenate([item_users.astype(np.int64) + n_items, user_items.astype(np.int64)]))
    sources = torch.from_numpy(rows[:n_sources])
    seconds = []
    for _ in range(rounds + 1):
        started = time.process_time()
        torch.ops.torch_cluster.random_walk(ptr, column, sources, 2 * steps, 1.0, 1.0)
        seconds.append(time.process_time() - started)
    versions = {"torch": torch.__version__, "torch_cluster": torch_cluster.__version__}
    print(json.dumps({"steps_per_second": n_sources * steps / min(seconds[1:]), "versions": versions}))


if __name__ == "__main__":
    main()
