"""Memory: what a study leaves behind, what the C library keeps of it, and what to lower where there is too little.

On a CPU, fetching memory again from the system costs as much as the arithmetic done in it.
"""

import ctypes
import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from dps.engine.study import Study

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # names and numbers of glibc's malloc.h
RAN_OUT = ("can't allocate memory", "Cannot allocate memory", "not enough memory", "out of memory")


def keep_freed_memory() -> None:
    """Free what earlier studies left, and let this process keep the memory that it frees; the latter takes glibc.

    By default glibc maps every large tensor anew and unmaps it when it is freed, so each step touches fresh pages,
    which the system zeroes one by one. With this, the process holds the most memory it ever needed until it ends.
    """
    gc.collect()  # Lightning leaves a study's tensors in cycles of references, which Python takes its time to find
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(M_MMAP_MAX, 0)
        mallopt(M_TRIM_THRESHOLD, -1)


def ran_out(error: Exception) -> bool:
    """Whether an error says that there was too little memory."""
    return isinstance(error, MemoryError) or any(words in str(error) for words in RAN_OUT)


@contextmanager
def explained(study: Study) -> Iterator[None]:
    """MemoryError, with what to lower, where the study asked for more memory than there is."""
    try:
        yield
    except Exception as error:
        if not ran_out(error):
            raise
        from dps.stack.shape import FILE

        raise MemoryError(
            f"memory ran out with {len(study.trials)} trials at batch_size={study.cfg.batch_size}: train fewer in a "
            "job (hydra.sweeper.trials_per_job), lower batch_size, or give lower stack.trials_per_slice and "
            f"stack.examples_per_pass and remove {study.folder / FILE}, which keeps those of the first start"
        ) from error
