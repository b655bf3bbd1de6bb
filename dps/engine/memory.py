"""The C library's memory: on a CPU, fetching it again from the system costs as much as the arithmetic done in it."""

import ctypes
import sys

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # names and numbers of glibc's malloc.h


def keep_freed_memory() -> None:
    """Let this process keep the memory that it frees; without glibc, do nothing.

    By default glibc maps every large tensor anew and unmaps it when it is freed, so each step touches fresh pages,
    which the system zeroes one by one. With this, the process holds the most memory it ever needed until it ends.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(M_MMAP_MAX, 0)
        mallopt(M_TRIM_THRESHOLD, -1)
