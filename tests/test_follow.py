"""Lines on studies whose jobs print elsewhere."""

import logging
import threading
import time
from pathlib import Path

import pytest

from dps.engine.sweep import Job
from dps.storage import records
from hydra_plugins.dps_sobol import follow

HYDRAS = "[%(asctime)s][%(name)s][%(levelname)s] - %(message)s"  # of its file handler


def record(folder: Path, **values: object) -> None:
    row = {"workload": "w", "status": "incomplete", "train_seconds": 1.5, "evaluate_seconds": 0.25, "steps_run": 8}
    row |= {"goal_error": 0.05, "max_steps": 8, "interval_steps": 4, "batch_size": 16, "sparsity": 0.0, "seed": 0}
    records.merge(folder, [{**row, "trial": 0, **values}])


def say(folder: Path, text: str, logger: str = "dps.job") -> None:
    handler = logging.FileHandler(folder / "dps.log")
    handler.setFormatter(logging.Formatter(HYDRAS))
    handler.emit(logging.LogRecord(logger, logging.INFO, "", 0, text, None, None))
    handler.close()


def test_what_jobs_say_at_their_end_is_said_here_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(follow, "SECONDS_BETWEEN_LOOKS", 0.01)
    jobs = [Job(tmp_path / name, f"{n} of 3  {name}", "w", 16, 0, 2) for n, name in enumerate("abc", start=1)]
    for job in jobs:
        job.folder.mkdir()
    record(jobs[0].folder)
    jobs[0].is_over = True
    say(jobs[1].folder, "of an earlier start")
    said, threads = "", threading.active_count()
    with follow.followed(jobs):
        say(jobs[2].folder, "a warning", "dps.engine.run")
        say(jobs[2].folder, "3 of 3  c: K* 16")
        end = time.monotonic() + 20
        while "3 of 3" not in said and time.monotonic() < end:
            time.sleep(0.01)
            said += capsys.readouterr().out
        with (jobs[1].folder / "dps.log").open("a") as log:
            log.write("Traceback\n")
        say(jobs[1].folder, "2 of 3  b: failed")  # in the last moment
    said += capsys.readouterr().out
    assert said.splitlines() == [
        "1 of 3  a: goal not reached, finished before",
        "3 of 3  c: K* 16",
        "2 of 3  b: failed",
    ]
    assert threading.active_count() == threads


def test_an_error_of_the_launcher_comes_through(tmp_path: Path) -> None:
    threads = threading.active_count()
    with pytest.raises(RuntimeError, match="launcher"), follow.followed([Job(tmp_path / "a", "a", "w", 16, 0, 2)]):
        raise RuntimeError("of the launcher")
    assert threading.active_count() == threads
