"""Lines on studies whose jobs print elsewhere."""

import threading
import time
from pathlib import Path

import pytest

from dps.engine.sweep import Job
from dps.storage import records
from hydra_plugins.dps_sobol import follow


def record(folder: Path, *trials: int) -> None:
    folder.mkdir(exist_ok=True)
    row = {"workload": "w", "status": "incomplete", "train_seconds": 1.5, "evaluate_seconds": 0.25, "steps_run": 8}
    row |= {"goal_error": 0.05, "max_steps": 8, "interval_steps": 4, "batch_size": 16, "sparsity": 0.0, "seed": 0}
    records.merge(folder, [{**row, "trial": trial} for trial in trials])


def jobs(folder: Path) -> list[Job]:
    return [Job(folder / name, f"{n} of 3  {name}", "w", 16, 0, 2) for n, name in enumerate("abc", start=1)]


def test_each_study_has_its_line_once_it_has_all_its_trials(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(follow, "SECONDS_BETWEEN_LOOKS", 0.01)
    record(tmp_path / "a", 0, 1)
    record(tmp_path / "b", 0)
    said, before = "", threading.active_count()
    with follow.followed(jobs(tmp_path), trials=2):
        record(tmp_path / "c", 0, 1)
        end = time.monotonic() + 20
        while "3 of 3" not in said and time.monotonic() < end:
            time.sleep(0.01)
            said += capsys.readouterr().out
        record(tmp_path / "b", 1)  # in the last moment
    first, third, second = (said + capsys.readouterr().out).splitlines()
    assert first == "1 of 3  a: goal not reached, finished before"
    counts = "goal not reached, 0 complete / 2 incomplete / 0 infeasible / 0 censored, 3.5 s"
    assert (third, second) == (f"3 of 3  c: {counts}", f"2 of 3  b: {counts}")
    assert threading.active_count() == before


def test_a_record_that_cannot_be_read_stops_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = threading.active_count()
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / records.FILE).write_text("damaged")
    with pytest.raises(RuntimeError, match="launcher"), follow.followed(jobs(tmp_path), trials=2):
        raise RuntimeError("of the launcher")
    assert capsys.readouterr().out == "" and threading.active_count() == before
