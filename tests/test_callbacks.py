"""The callbacks: pruning, the goal check with its race, and the record."""

import functools
import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
import pytorch_lightning as pl
import torch
from command import dps, place, rows, study
from configuration import Composed
from hydra.utils import instantiate
from omegaconf import DictConfig
from pytorch_lightning.strategies import SingleDeviceStrategy
from torch import Tensor

from callbacks import Goal, Record
from dps import pruning
from dps.engine import fit
from dps.engine.module import StudyTask
from dps.engine.study import Study
from dps.models import SimpleCNN, Weights, initialise
from dps.protocol.outcome import Outcome
from dps.pruning import Unpruned
from dps.storage import records
from dps.storage.cache import load, save

SMALL = ["batch_size=8", "goal.error=0.3", "goal.interval_steps=4", "max_steps=8"]
TWO = ["trial=[0,3]", "optimizer.lr=[0.02,0.01]"]


@pytest.fixture
def trainers(monkeypatch: pytest.MonkeyPatch) -> list[pl.Trainer]:
    """The trainer of every study that was fitted."""
    found: list[pl.Trainer] = []
    fit_here = fit.fit_here

    def spy(study: Study) -> pl.Trainer:
        found.append(fit_here(study))
        return found[-1]

    monkeypatch.setattr(fit, "fit_here", spy)
    return found


@pytest.fixture
def scored(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The trial of every computation of SNIP's scores."""
    trials: list[int] = []
    snip = pruning.snip

    @functools.wraps(snip)
    def spy(trial: Unpruned) -> Weights:
        trials.append(trial.seed)
        return snip(trial)

    monkeypatch.setattr(pruning, "snip", spy)
    return trials


@pytest.fixture
def starts(monkeypatch: pytest.MonkeyPatch) -> list[dict[int, Tensor]]:
    """Each study's masks, all of a trial's in one vector, at its first step."""
    found: list[dict[int, Tensor]] = []
    on_train_start = StudyTask.on_train_start

    def spy(task: StudyTask) -> None:
        trials = task.stack.running()
        found.append({t: torch.cat([mask.flatten() for mask in task.stack.masks_of(t).values()]) for t in trials})
        on_train_start(task)

    monkeypatch.setattr(StudyTask, "on_train_start", spy)
    return found


def test_scores_are_computed_once_for_all_studies(
    tmp_path: Path, scored: list[int], starts: list[dict[int, Tensor]]
) -> None:
    cache = str(tmp_path / "cache")
    typed = [*SMALL, "max_steps=1", "sparsity=0.5", "trial=3"]
    dps(place(tmp_path, "first"), *typed, cache=cache)
    dps(place(tmp_path, "second"), *typed, "batch_size=16", "optimizer=nesterov", cache=cache)
    dps(place(tmp_path, "third"), *typed, "sparsity=0.9", cache=cache)
    assert scored == [3]
    dps(place(tmp_path, "one more"), *typed, "trial=[3,1]", cache=cache)
    assert scored == [3, 1]
    dps(place(tmp_path, "other data"), *typed, "seed_data=1", cache=cache)
    dps(place(tmp_path, "other type"), *typed, "trainer.precision=64-true", cache=cache)
    assert scored == [3, 1, 3, 3]
    kept = [int(masks[3].sum()) for masks in starts]
    assert kept == [31173, 31173, 6235, 31173, 31173, 31173]
    assert torch.equal(starts[0][3], starts[1][3]) and torch.equal(starts[0][3], starts[3][3])
    assert (starts[2][3] <= starts[0][3]).all()


@pytest.mark.slow
@pytest.mark.fault("damaged scores in the cache")
def test_scores_that_are_none_are_computed_again(
    tmp_path: Path, scored: list[int], starts: list[dict[int, Tensor]]
) -> None:
    cache = tmp_path / "cache"
    typed = [*SMALL, "max_steps=1", "sparsity=0.5", "trial=3"]
    dps(place(tmp_path, "first"), *typed, cache=str(cache))
    (entry,) = (cache / "scores").iterdir()
    content, whole = entry.read_bytes(), load(entry)
    assert whole is not None
    first = min(whole)
    damages: dict[str, Callable[[], object]] = {
        "cut short": lambda: entry.write_bytes(content[:-1000]),
        "another's": lambda: entry.write_bytes(b"x" * len(content)),
        "not a number": lambda: save(entry, whole | {first: whole[first] * math.nan}),
        "of another shape": lambda: save(entry, whole | {first: whole[first][..., :1]}),
    }
    for name, damage in damages.items():
        damage()
        done = dps(place(tmp_path, name), *typed, cache=str(cache))
        assert (done.code, name) == (0, name) and scored.pop() == 3 and len(scored) == 1
        is_told = f"{entry} does not hold the scores" in done.stdout + done.stderr
        assert is_told == (name in ("not a number", "of another shape"))
        assert torch.equal(starts[0][3], starts[-1][3])
        assert entry.read_bytes() == content


def test_scores_that_rank_nothing_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def hopeless(trial: Unpruned) -> Weights:
        return {name: values * math.nan for name, values in trial.weights.items()}

    hopeless.__module__ = pruning.__name__  # one of those that dps takes
    monkeypatch.setattr(pruning, "magnitude", hopeless)
    done = dps(tmp_path, *SMALL, "sparsity=0.5", "pruning=magnitude")
    assert done.code == 1 and "pruning by hopeless cannot rank the weights of seed 0: the scores of " in done.stderr
    assert not (study(tmp_path, 8, "0.5") / "trials.csv").exists()


@pytest.mark.parametrize("criterion", ["magnitude", "random"])
def test_criteria_that_read_no_data_are_not_cached(
    tmp_path: Path, starts: list[dict[int, Tensor]], criterion: str
) -> None:
    assert dps(tmp_path, *SMALL, *TWO, "sparsity=0.9", f"pruning={criterion}", cache=str(tmp_path / "cache")).code == 0
    assert not (tmp_path / "cache" / "scores").exists()
    assert [int(mask.sum()) for mask in starts[0].values()] == [6235, 6235]
    assert not torch.equal(starts[0][0], starts[0][3])
    if criterion == "magnitude":
        model = SimpleCNN()
        initialise(model, 3)
        weights = torch.cat([parameter.detach().flatten() for parameter in model.parameters()]).abs()
        assert weights[starts[0][3] == 1].min() >= weights[starts[0][3] == 0].max()


def test_a_dense_study_scores_nothing(tmp_path: Path, scored: list[int]) -> None:
    dps(tmp_path, *SMALL, "sparsity=0", cache=str(tmp_path / "cache"))
    assert not scored and not (tmp_path / "cache" / "scores").exists()


def test_an_emptied_layer_is_a_warning_and_the_trial_runs(tmp_path: Path) -> None:
    done = dps(tmp_path, *SMALL, *TWO, "pruning=magnitude", "sparsity=0.995")
    assert done.code == 0
    log = (study(tmp_path, 8, "0.995") / "dps.log").read_text()
    emptied: dict[str, list[str]] = {"conv1": [], "conv2": [], "dense": []}
    for trial in (0, 3):
        model = SimpleCNN()
        initialise(model, trial)
        values = torch.cat([parameter.detach().flatten() for parameter in model.parameters()]).abs()
        least = values.sort(descending=True).values[round(62346 * 0.005) - 1]
        for layer, trials in emptied.items():
            if (model.get_submodule(layer).weight.abs() < least).all():  # type: ignore[operator]
                trials.append(str(trial))
    assert any(emptied.values()) and not all(emptied.values())
    for layer, trials in emptied.items():
        warning = f"[WARNING] - sparsity=0.995 leaves no weight in layer {layer} of these trials: {', '.join(trials)}\n"
        assert log.count(warning) == bool(trials), warning
    assert list(rows(study(tmp_path, 8, "0.995"))["steps_run"]) == [8, 8]


def test_the_race_is_between_all_jobs_of_a_study(tmp_path: Path) -> None:
    dps(tmp_path, *SMALL, "max_steps=40", "trial=9", "optimizer.lr=0.02")
    best = rows(study(tmp_path, 8)).loc[9, "steps_to_result"]
    dps(tmp_path, *SMALL, "max_steps=40", "trial=[0,3]", "optimizer.lr=1e-6")
    found = rows(study(tmp_path, 8))
    assert list(found["status"]) == ["censored", "censored", "complete"]
    assert list(found["steps_run"]) == [best] * 3
    assert found.loc[[0, 3], "validation_error"].between(0.3, 1).all() and found.loc[[0, 3], "test_error"].isna().all()


@pytest.mark.parametrize(("budget", "interval"), [(6, 4), (3, 4), (4, 4), (5, 1)])
def test_a_budget_ends_where_it_ends(tmp_path: Path, budget: int, interval: int) -> None:
    typed = [f"max_steps={budget}", f"goal.interval_steps={interval}", "optimizer.lr=1e-6"]
    dps(tmp_path, "batch_size=8", "goal.error=0.3", *typed)
    (row,) = records.read(study(tmp_path, 8)).to_dict("records")
    assert (row["status"], row["steps_run"]) == ("incomplete", budget)
    assert 0.3 < row["validation_error"] <= 1


def test_a_budget_before_the_first_check_completes_no_trial_and_says_so(tmp_path: Path) -> None:
    done = dps(
        tmp_path, "batch_size=8", "goal.error=0.9", "goal.interval_steps=16", "max_steps=15", "optimizer.lr=0.02"
    )
    (row,) = records.read(study(tmp_path, 8)).to_dict("records")
    assert (row["status"], row["steps_run"]) == ("incomplete", 15) and row["validation_error"] < 0.9
    assert "never checked, and so not reached: goal.interval_steps=16 is more than max_steps=15" in done.stdout


def test_failed_checks_read_few_examples(tmp_path: Path, trainers: list[pl.Trainer]) -> None:
    read = {}
    for early_reject in ("true", "false"):
        typed = [*SMALL, *TWO, "goal.error=0.05", "goal.examples_per_block=10", f"goal.early_reject={early_reject}"]
        dps(place(tmp_path, early_reject), *typed, "max_steps=24")
        task = trainers[-1].lightning_module
        assert isinstance(task, StudyTask)
        assert [check.trials for check in task.checks] == [2] * 6
        assert sum(check.failed for check in task.checks) == 2 * 6
        read[early_reject] = sum(check.read_by_failed for check in task.checks) / (2 * 6)
    assert read["false"] == 150
    assert 10 <= read["true"] <= 50


def test_seconds_are_those_of_the_study(tmp_path: Path) -> None:
    dps(tmp_path, *SMALL, *TWO, "race=false")
    found = records.read(study(tmp_path, 8))
    assert (found["train_seconds"] > 0).all() and (found["evaluate_seconds"] > 0).all()
    assert found[["train_seconds", "evaluate_seconds"]].sum().sum() < 60


@pytest.mark.parametrize("race", ["true", "false"])
def test_the_goal_is_the_studys(composed: Composed, race: str) -> None:
    typed = ["goal.error=0.3", "goal.interval_steps=7", "goal.early_reject=false", f"race={race}"]
    study = Study.parse(composed(*typed))
    by_another_job = {"trial": 9, "status": "complete", "steps_run": 7, "steps_to_result": 7}
    records.merge(study.folder, [by_another_job])
    finished: list[dict[int, Outcome]] = []
    stack = SimpleNamespace(running=lambda: {0: 0}, finite=lambda: [True])
    data = SimpleNamespace(validation_images=torch.zeros(150, 1), validation_labels=torch.zeros(150))

    def mistakes(rows: list[int], images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        return torch.ones(len(rows), len(labels), dtype=torch.bool), torch.ones(len(rows), dtype=torch.bool)

    task: Any = SimpleNamespace(study=study, stack=stack, data=data, device=torch.device("cpu"), checks=[], doing="")
    task.mistakes, task.finish, task.finite = mistakes, finished.append, stack.finite
    trainer: Any = SimpleNamespace(max_steps=100, loggers=[], strategy=SimpleNamespace(broadcast=lambda found: found))
    goal = instantiate(study.cfg.callbacks.goal)
    assert isinstance(goal, Goal)
    goal.on_fit_start(trainer, task)
    assert (goal.check.allowed, goal.check.early_reject) == (45, False)
    for trainer.global_step in range(1, 8):
        assert not finished
        goal.on_train_batch_end(trainer, task)
    (outcomes,) = finished
    assert {trial: outcome.status for trial, outcome in outcomes.items()} == ({0: "censored"} if race == "true" else {})


def recording(composed: Composed) -> tuple[Record, Any]:
    """The callback, and a task of the trials 0 and 5 that has no outcomes yet."""
    cfg: DictConfig = composed("trial=[0,5]", "optimizer.lr=[0.1,0.2]", "optimizer.momentum=[0.9,0.8]")
    return Record(), SimpleNamespace(study=Study.parse(cfg), outcomes={})


def test_a_trial_is_recorded_as_soon_as_it_has_ended(tmp_path: Path, composed: Composed) -> None:
    record, task = recording(composed)
    first: Any = SimpleNamespace(is_global_zero=True)
    record.on_train_batch_end(first, task)
    assert not (tmp_path / "trials.csv").exists()
    task.outcomes[5] = Outcome("complete", 16, 16, 0.25, 0.27, 1.5, 0.5)
    record.on_train_batch_end(first, task)
    (row,) = records.read(tmp_path).to_dict("records")
    assert (row["trial"], row["seed"], row["lr"], row["momentum"]) == (5, 5, 0.2, 0.8)
    assert (row["status"], row["steps_to_result"], row["test_error"], row["train_seconds"]) == (
        "complete",
        16,
        0.27,
        1.5,
    )
    before = (tmp_path / "trials.csv").stat()
    record.on_train_batch_end(first, task)
    after = (tmp_path / "trials.csv").stat()
    assert (before.st_mtime_ns, before.st_ino) == (after.st_mtime_ns, after.st_ino)
    task.outcomes[0] = Outcome("infeasible", 8)
    record.on_train_batch_end(first, task)
    found = records.read(tmp_path)
    assert list(found["trial"]) == [0, 5] and list(found["status"]) == ["infeasible", "complete"]
    assert pd.isna(found["validation_error"][0]) and pd.isna(found["steps_to_result"][0])


def test_the_other_ranks_record_nothing(tmp_path: Path, composed: Composed) -> None:
    record, task = recording(composed)
    task.outcomes[5] = Outcome("infeasible", 8)
    other: Any = SimpleNamespace(is_global_zero=False)
    record.on_train_batch_end(other, task)
    assert not list(tmp_path.iterdir())


def test_ranks_end_trials_as_the_first_rank_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broadcast = SingleDeviceStrategy.broadcast

    def of_the_first_rank(strategy: SingleDeviceStrategy, value: Any, src: int = 0) -> Any:
        return {0: "infeasible"} if isinstance(value, dict) else broadcast(strategy, value, src)

    monkeypatch.setattr(SingleDeviceStrategy, "broadcast", of_the_first_rank)
    assert dps(tmp_path, "batch_size=8", "goal.error=0", "goal.interval_steps=4", "max_steps=12").code == 0
    (trial,) = rows(study(tmp_path, 8)).to_dict("records")
    assert (trial["status"], trial["steps_run"]) == ("infeasible", 4)
