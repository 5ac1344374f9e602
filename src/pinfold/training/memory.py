"""Freed memory is kept: every step asks for the same large tensors again."""

import ctypes
import sys

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # malloc.h of glibc
LARGEST = 32 << 20  # bytes; the highest threshold that glibc accepts
KEPT = 1 << 30  # bytes that may lie free at the end of the heap


def keep_freed_memory() -> bool:
    """Tell glibc to reuse tensors of up to 32 MiB instead of returning them to the kernel; whether it listened.

    Otherwise each one is mapped, faulted in page by page and unmapped at every step, which took a fifth to a third
    of a LightGCN step on the bundled data (docs/experiments.md). Elsewhere than on glibc nothing happens.
    """
    if sys.platform != "linux":
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return bool(mallopt(M_MMAP_THRESHOLD, LARGEST)) and bool(mallopt(M_TRIM_THRESHOLD, KEPT))
