"""One place for threads: how many, and how a kernel's rows are shared among them.

Kernels are serial and release the GIL; `over_rows` gives each thread a range of rows. Every row is computed
by one thread in one order, so the number of threads never changes a result.
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise

SMALL = 256  # rows below which a second thread costs more than it saves


@cache
def _pool(n_threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(n_threads, thread_name_prefix="pinfold-kernel")


def n_threads() -> int:
    """Threads to use: OMP_NUM_THREADS as for the libraries beside us, else the processors of this process."""
    text = os.environ.get("OMP_NUM_THREADS", "")
    return int(text) if text.isdigit() and int(text) > 0 else len(os.sched_getaffinity(0))


def over_rows(n_rows: int, work: Callable[[int, int], None]) -> None:
    """Call `work(start, stop)` on ranges that cover [0, n_rows), on all threads, and wait."""
    threads = n_threads() if n_rows >= SMALL else 1
    if threads == 1:
        work(0, n_rows)
        return
    bounds = [n_rows * part // threads for part in range(threads + 1)]
    for job in [_pool(threads).submit(work, a, b) for a, b in pairwise(bounds)]:
        job.result()
