"""Page faults of large tensors, with and without the memory kept: counted by the system, in a process of its own."""

import platform
import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys, torch
from dps.engine.memory import keep_freed_memory
if sys.argv[1] == "keep":
    keep_freed_memory()
def step():
    tensors = [torch.ones(megabytes, 2**18) for megabytes in (3, 50, 80)]
    del tensors[0], tensors[0], tensors[0]
for _ in range(5):
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")
def test_large_tensors_are_put_where_freed_ones_were() -> None:
    faults = {
        how: int(subprocess.run([sys.executable, "-c", PROGRAM, how], capture_output=True, check=True).stdout)
        for how in ("keep", "return")
    }
    assert faults["return"] > 100_000 and faults["keep"] < 1_000
