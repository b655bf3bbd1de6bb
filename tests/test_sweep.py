"""How far a sweep is, and the time that is left."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from configuration import Composed

from dps.engine.study import Study
from dps.engine.sweep import Job, Sweep, planned
from dps.storage import records


def job(folder: str, batch_size: int, sparsity: float, trials: int = 10, **known: Any) -> Job:
    return Job(Path(folder), folder, "w", batch_size, sparsity, trials, **known)


def test_nothing_is_guessed_before_anything_is_known() -> None:
    sweep = Sweep([job("a", 4, 0), job("b", 16, 0)])
    sweep.begin(0)
    assert sweep.seconds_left(100.0) is None
    sweep.end(None)  # it failed
    assert sweep.studies_over == 1 and sweep.seconds_left(0.0) is None


def test_a_guess_goes_by_the_study_that_is_most_like() -> None:
    sweep = Sweep([job("a", 4, 0), job("b", 4, 0.9), job("c", 16, 0), job("d", 16, 0.9, trials=5), job("e", 64, 0)])
    sweep.begin(0)
    sweep.end(10.0)
    assert sweep.seconds_left(0.0) == (10 + 10 + 5 + 10, 1)
    sweep.begin(1)
    assert sweep.seconds_left(4.0) == (6 + 10 + 5 + 10, 1)
    assert sweep.seconds_left(99.0) == (0 + 10 + 5 + 10, 1)  # it takes longer than was thought
    sweep.end(40.0)
    sweep.begin(2)
    sweep.end(12.0)
    assert sweep.seconds_left(0.0) == (40 * 5 / 10 + 12, 3)  # d like b, and e like c rather than a
    assert (sweep.studies, sweep.studies_over) == (5, 3)


def test_of_replicates_the_mean_counts() -> None:
    known = [job(f"a/{n}", 4, 0, seconds=seconds, is_over=True) for n, seconds in enumerate((10.0, 30.0))]
    assert Sweep([*known, job("a/2", 4, 0), job("b", 16, 0, trials=5)]).seconds_left(0.0) == (20 + 10, 2)


def test_a_study_in_several_jobs_is_over_with_the_last() -> None:
    sweep = Sweep([job("a", 4, 0), job("a", 4, 0), job("b", 4, 0)])
    sweep.begin(0)
    sweep.end(1.0)
    assert (sweep.studies, sweep.studies_over) == (2, 0)
    sweep.begin(1)
    sweep.end(1.0)
    assert sweep.studies_over == 1


def record(folder: Path, trials: int) -> None:
    row = {"workload": "w", "status": "incomplete", "train_seconds": 1.5, "evaluate_seconds": 0.25, "steps_run": 8}
    row |= {"goal_error": 0.05, "max_steps": 8, "interval_steps": 4, "batch_size": 16, "sparsity": 0.0, "seed": 0}
    records.merge(folder, [{**row, "trial": trial} for trial in range(trials)])


def test_what_is_recorded_counts(tmp_path: Path, composed: Composed) -> None:
    study = Study.parse(composed("batch_size=16", "trial=[0,1,2,3]", "optimizer.lr=0.1"))
    study.cfg.folder = str(tmp_path)
    job = Job(tmp_path, "a", "digits_simple_cnn_momentum", 16, 0, trials=4)
    assert planned(study, "a") == job
    record(tmp_path, 3)
    assert planned(study, "a") == replace(job, trials=1)
    record(tmp_path, 5)
    assert planned(study, "a") == replace(job, seconds=4 * 1.75, is_over=True)
