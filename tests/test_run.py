"""One study in the hands of several processes at once: each job is claimed while it is trained."""

import errno
import fcntl
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from importlib.util import find_spec
from pathlib import Path

import pandas as pd
import pytest
from command import Done, dps, place, process, rows, study

from dps.engine import run
from dps.engine.study import Study

SMALL = ["batch_size=8", "goal.error=0.3", "goal.interval_steps=4", "max_steps=32", "race=false"]
TYPED = [*SMALL, "stack.trials_per_slice=2", "stack.examples_per_pass=8", "stack.products=false"]
TRIALS = ["trial=[0,1]", "optimizer.lr=[0.02,0.01]"]
OWNER = """
import sys, time
from filelock import FileLock
lock = FileLock(sys.argv[1])
lock.acquire()
print("claimed", flush=True)
time.sleep(60)
"""


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which nobody else trains."""
    folder = tmp_path_factory.mktemp("alone")
    assert dps(folder, *TYPED, *TRIALS).code == 0
    return folder


@pytest.fixture
def owner(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that has claimed the job in tmp_path."""
    lock = study(tmp_path, 8) / ".hydra" / "trials=0-1.lock"
    lock.parent.mkdir(parents=True)
    with subprocess.Popen([sys.executable, "-c", OWNER, lock], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "claimed\n"
        yield process
        process.kill()


def when_waiting(folder: Path, action: threading.Thread) -> Done:
    """What the command answers, with the action started once it says that it waits."""

    def act() -> None:
        log = study(folder, 8) / "dps.log"
        while not (log.exists() and "waiting for it to end" in log.read_text()):
            time.sleep(0.05)
        action.start()

    watch = threading.Thread(target=act, daemon=True)
    watch.start()
    done = dps(folder, *TYPED, *TRIALS)
    watch.join(10)
    return done


@pytest.mark.fault("a lock whose owner was killed")
def test_the_claim_of_a_killed_process_ends_with_it(alone: Path, tmp_path: Path, owner: subprocess.Popen[str]) -> None:
    done = when_waiting(tmp_path, threading.Thread(target=owner.kill))
    assert (done.code, done.stderr) == (0, "")
    assert (study(tmp_path, 8) / "dps.log").read_text().count("another process trains trials=0-1 in") == 1
    pd.testing.assert_frame_equal(rows(study(tmp_path, 8)), rows(study(alone, 8)))


def test_what_another_process_has_trained_is_not_trained_again(
    alone: Path, tmp_path: Path, owner: subprocess.Popen[str]
) -> None:
    def finish() -> None:
        shutil.copy(study(alone, 8) / "trials.csv", study(tmp_path, 8))
        owner.kill()

    done = when_waiting(tmp_path, threading.Thread(target=finish))
    assert (done.code, done.stderr) == (0, "")
    assert (study(tmp_path, 8) / "trials.csv").read_bytes() == (study(alone, 8) / "trials.csv").read_bytes()
    assert not (study(tmp_path, 8) / "csv").exists()


@pytest.mark.fault("two configurations in one folder")
def test_a_folder_in_which_another_configuration_is_trained_is_refused(
    alone: Path, tmp_path: Path, owner: subprocess.Popen[str]
) -> None:
    configuration = Path(".hydra", "config.yaml")
    shutil.copy(study(alone, 8) / configuration, study(tmp_path, 8) / configuration)
    done = dps(tmp_path, *TYPED, *TRIALS, "seed_data=1")
    assert done.code == 1 and done.stderr.count("\n") == 1
    assert "is being trained in another configuration (seed_data is 0 there and 1 here); choose another" in done.stderr
    assert (study(tmp_path, 8) / configuration).read_text() == (study(alone, 8) / configuration).read_text()
    owner.kill()
    owner.wait()
    assert dps(tmp_path, *TYPED, *TRIALS, "seed_data=1").code == 0  # there was no result


@pytest.mark.fault("two configurations in one folder")
def test_a_folder_that_is_taken_before_its_first_step_is_left(
    alone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a command that claims it between this one's claim and its training."""

    def taken(own: Study) -> AbstractContextManager[object]:
        configuration = own.folder / ".hydra" / "config.yaml"
        configuration.write_text(configuration.read_text().replace("seed_data: 1", "seed_data: 0"))
        return alone_with(own)

    alone_with = run._alone
    monkeypatch.setattr(run, "_alone", taken)
    done = dps(tmp_path, *TYPED, *TRIALS, "seed_data=1")
    assert done.code == 1 and "seed_data is 0 there and 1 here" in done.stderr
    assert not (study(tmp_path, 8) / "trials.csv").exists()


@pytest.mark.parametrize("problem", [errno.ENOSYS, errno.ENOLCK])
@pytest.mark.fault("a file system without locks")
def test_a_file_system_without_locks_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, problem: int) -> None:
    def flock(file: int, operation: int) -> None:
        raise OSError(problem, os.strerror(problem))

    monkeypatch.setattr(fcntl, "flock", flock)
    done = dps(tmp_path, *TYPED, *TRIALS)
    assert done.code == 1 and done.stderr.count("\n") == 1
    assert all(words in done.stderr for words in (str(study(tmp_path, 8)), os.strerror(problem), "hydra.run.dir"))


@pytest.mark.slow
@pytest.mark.fault("two sweeps on one folder")
def test_two_sweeps_on_one_folder(tmp_path: Path) -> None:
    typed = ["-m", *TYPED, "batch_size=8,16", "hydra.sweeper.trials=4", "goal.error=0.05", "max_steps=200"]
    by_itself = place(tmp_path, "by_itself")
    assert dps(by_itself, *typed).code == 0
    done: list[Done] = []
    both = [threading.Thread(target=lambda: done.append(process(tmp_path, *typed))) for _ in range(2)]
    for one in both:
        one.start()
    for one in both:
        one.join()
    assert [(one.code, one.stderr) for one in done] == [(0, ""), (0, "")]
    for size in (8, 16):
        pd.testing.assert_frame_equal(rows(study(tmp_path, size)), rows(study(by_itself, size)))
        assert len(list(study(tmp_path, size).rglob("metrics.csv"))) == 1


@pytest.mark.slow
@pytest.mark.skipif(find_spec("hydra_plugins.hydra_joblib_launcher") is None, reason="needs hydra-joblib-launcher")
@pytest.mark.fault("jobs of a study side by side")
def test_jobs_of_a_study_side_by_side(tmp_path: Path) -> None:
    typed = ["-m", *TYPED, "hydra.sweeper.trials=6"]
    by_itself = place(tmp_path, "by_itself")
    assert dps(by_itself, *typed).code == 0
    done = process(
        tmp_path, *typed, "hydra.sweeper.trials_per_job=2", "hydra/launcher=joblib", "hydra.launcher.n_jobs=3"
    )
    assert (done.code, done.stderr) == (0, "")
    pd.testing.assert_frame_equal(rows(study(tmp_path, 8)), rows(study(by_itself, 8)))
    curves = sorted(path.parts[-3] for path in study(tmp_path, 8).rglob("metrics.csv"))
    assert curves == ["trials=0-1", "trials=2-3", "trials=4-5"]
