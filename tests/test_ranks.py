"""Two ranks share every batch and must answer as one process does."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pandas as pd
import pytest
from command import CACHE, dps, place, process, rows, study

TYPED = [
    "trial=[0,1,2]",
    "optimizer.lr=[1e9,0.02,0.002]",
    "batch_size=8",
    "sparsity=0.5",
    "goal.error=0.3",
    "goal.interval_steps=4",
    "max_steps=28",
    "race=false",
    "trainer.precision=64-true",
    "stack.trials_per_slice=2",
    "stack.examples_per_pass=4",
    "stack.products=false",
]
TWO_RANKS = ["trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2"]
NUMBERS = ["validation_error", "test_error"]

# Ends with an error on rank 1, in the middle of the run, while rank 0 waits for its gradients.
FAILING = """
import os
from dps.engine.module import StudyTask

training_step = StudyTask.training_step

def failing(task, *arguments):
    if os.environ.get("RANK") == "1" and task.trainer.global_step == 3:
        raise OSError("this rank is out of luck")
    return training_step(task, *arguments)

StudyTask.training_step = failing
"""
# Asks the command to end, in the middle of the run.
STOPPING = FAILING.replace('raise OSError("this rank is out of luck")', "os.kill(os.getppid(), 15)")

ENDLESS = ["optimizer.lr=1e-9", "batch_size=8", "max_steps=10000000", "bookkeeping.checkpoint.every_seconds=0"]


@contextmanager
def training(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """The command on two ranks, which have saved a checkpoint; at the end all of its processes are killed."""
    command = [sys.executable, "-m", "dps.main", *ENDLESS, *TWO_RANKS]
    own = {**os.environ, "OMP_NUM_THREADS": "1", "DPS_CACHE": CACHE.name, "DPS_TEST": str(folder)}
    with subprocess.Popen(command, cwd=folder, env=own, stderr=subprocess.PIPE, text=True) as running:
        try:
            within(120, lambda: bool(list(folder.rglob("*.ckpt"))) or running.poll() is not None)
            yield running
        finally:
            for number in processes(folder):
                os.kill(number, signal.SIGKILL)


def processes(folder: Path, also: str = "") -> list[int]:
    """Those that the command in this folder has started and that have not ended, itself among them."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):  # it has ended, or is another user's
            marks = path.read_text().split("\0")
            if f"DPS_TEST={folder}" in marks and also in ("", *marks):
                found.append(int(path.parent.name))
    return found


def within(seconds: float, so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + seconds
    while not so():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.fault("ranks whose command is killed")
def test_no_rank_outlives_a_killed_command(tmp_path: Path) -> None:
    with training(tmp_path) as command:
        command.kill()
        command.wait()
        within(5, lambda: not processes(tmp_path))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGUSR1"])
@pytest.mark.fault("a signal to a command with two ranks")
def test_a_signal_to_the_command_stops_its_ranks(tmp_path: Path, name: str) -> None:
    with training(tmp_path) as command:
        command.send_signal(signal.Signals[name])
        _, stderr = command.communicate(timeout=15)
        assert command.returncode == (130 if name == "SIGINT" else 143)
        shown, folder = "Ctrl-C" if name == "SIGINT" else name, study(tmp_path, 8)
        kept = rf"{re.escape(str(folder))} keeps the trials that had ended and a checkpoint of step \d+"
        assert re.fullmatch(rf"dps: stopped by {shown}: {kept}; the same command goes on\n", stderr), stderr
        assert not processes(tmp_path) and len(list(folder.glob("*[!e].ckpt"))) == 1


@pytest.mark.slow
@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.fault("a rank that is killed or fails")
def test_a_killed_rank_ends_the_command(tmp_path: Path, number: int) -> None:
    with training(tmp_path) as command:
        (rank,) = processes(tmp_path, f"RANK={number}")
        os.kill(rank, signal.SIGKILL)
        _, stderr = command.communicate(timeout=15)
        sentence = f"rank {number} was ended by SIGKILL: the same command goes on"
        assert command.returncode == 1 and stderr == f"dps: {sentence}\n"
        assert not processes(tmp_path)


@pytest.mark.slow
def test_two_ranks_equal_one_process(tmp_path: Path) -> None:
    for name, extra in (("one", []), ("two", TWO_RANKS)):
        done = dps(place(tmp_path, name), *TYPED, *extra)
        assert done.code == 0 and not done.stderr, done.stderr
    one, two = (rows(study(tmp_path / name, 8, "0.5")) for name in ("one", "two"))
    pd.testing.assert_frame_equal(one.drop(columns=NUMBERS), two.drop(columns=NUMBERS))
    pd.testing.assert_frame_equal(one[NUMBERS], two[NUMBERS], rtol=0, atol=1e-10)
    assert one.loc[0, "status"] == "infeasible" and one.loc[1, "status"] == "complete"
    resumed = place(tmp_path, "resumed")
    done = process(resumed, *TYPED, *TWO_RANKS, env=at_the_start_of_each_rank(tmp_path, STOPPING))
    assert done.code == 143 and "a checkpoint of step " in done.stderr
    assert dps(resumed, *TYPED, *TWO_RANKS).code == 0
    pd.testing.assert_frame_equal(two, rows(study(resumed, 8, "0.5")))


@pytest.mark.slow
@pytest.mark.fault("a rank that is killed or fails")
def test_a_rank_that_fails_ends_the_study(tmp_path: Path) -> None:
    done = process(tmp_path, *TYPED, *TWO_RANKS, env=at_the_start_of_each_rank(tmp_path, FAILING))
    assert done.code == 1 and done.stderr == "dps: this rank is out of luck (sitecustomize.py, line 9)\n"
    folder = study(tmp_path, 8, "0.5")
    log = (folder / "dps.log").read_text()
    assert "In rank 1:\nTraceback (most recent call last)" in log and "OSError: this rank is out of luck" in log
    assert rows(folder).empty


def at_the_start_of_each_rank(folder: Path, code: str) -> dict[str, str]:
    """The environment in which Python runs the code."""
    (folder / "sitecustomize.py").write_text(code)
    return {"PYTHONPATH": os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")]))}


@pytest.mark.slow
def test_a_users_file_does_not_stand_in_for_a_package_of_ours(tmp_path: Path) -> None:
    (tmp_path / "callbacks.py").write_text("raise RuntimeError('not these callbacks')\n")
    done = dps(tmp_path, *TYPED, *TWO_RANKS)
    assert done.code == 0, done.stderr
    assert len(rows(study(tmp_path, 8, "0.5"))) == 3


def test_ranks_share_the_batch_evenly(tmp_path: Path) -> None:
    done = dps(tmp_path, *TYPED, *TWO_RANKS, "batch_size=9")
    assert done.code == 1 and done.stderr == "dps: trainer.devices=2 must be a divisor of batch_size=9\n"
    assert not list(tmp_path.rglob("trials.csv"))


@pytest.mark.slow
def test_a_sweep_over_two_ranks_runs_every_study_once(tmp_path: Path) -> None:
    typed = ["-m", "batch_size=8,16", "goal.error=0.3", "max_steps=16", "hydra.sweeper.trials=2"]
    done = process(tmp_path, *typed, *TWO_RANKS, seconds=300)
    assert done.code == 0, done.stderr
    assert [len(rows(study(tmp_path, size))) for size in (8, 16)] == [2, 2]
    assert len(list(tmp_path.rglob("trials.csv"))) == 2
