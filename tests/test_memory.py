"""Memory: page faults of large tensors, with and without it kept, and a study for which there is too little.

Each in a process of its own, for the system counts and limits by processes.
"""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from command import CACHE, dps, place, rows, study

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


# Types the command; from its first study on the process has so many MiB of addresses to spare.
LIMITED = """
import resource, sys
from pathlib import Path
from dps import main
from dps.engine import fit

spare, fit_here = int(sys.argv.pop(1)), fit.fit_here

def limited(study):
    fit.fit_here = fit_here
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + spare * 2**20, resource.RLIM_INFINITY))
    return fit_here(study)

fit.fit_here = limited
main.main()
"""
SWEEP = [
    *("-m", "hydra.sweeper.trials=4", "race=false", "goal.error=0.3", "goal.interval_steps=4", "max_steps=8"),
    *("logger=null", "stack.trials_per_slice=4", "stack.examples_per_pass=1024", "stack.products=false"),
]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="needs a limit of addresses, which Linux keeps")
@pytest.mark.fault("a study that runs out of memory in a sweep")
def test_the_studies_after_one_that_runs_out_of_memory_train(tmp_path: Path) -> None:
    enough, short = place(tmp_path, "enough"), place(tmp_path, "short")
    assert dps(enough, *SWEEP, "batch_size=8,16").code == 0
    command = [sys.executable, "-c", LIMITED, "200", *SWEEP, "batch_size=1024,8,16"]
    own = {**os.environ, "OMP_NUM_THREADS": "1", "DPS_CACHE": CACHE.name}
    done = subprocess.run(command, cwd=short, env=own, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 1 and done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith("dps: 1 of 3 studies failed")
    assert "memory ran out with 4 trials at batch_size=1024: " in done.stderr
    for batch_size in (8, 16):
        pd.testing.assert_frame_equal(rows(study(short, batch_size)), rows(study(enough, batch_size)))
    assert not (study(short, 1024) / "trials.csv").exists()
