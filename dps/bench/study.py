"""Whole studies: ours run and counted, and the plain way run whole where that is short."""

import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from hydra.utils import instantiate
from omegaconf import DictConfig
from torch import Tensor, nn

from callbacks import Goal
from dps.bench.measure import trainer_options, with_values
from dps.bench.plain import fit_plain
from dps.data.study_data import StudyData
from dps.engine import fit
from dps.engine.check import trials_of
from dps.engine.module import StudyTask
from dps.models import initialise
from dps.protocol import space
from dps.protocol.goal import Verdict
from dps.pruning.pruning import masks, snip
from dps.storage import records


class TimedGoal(Goal):
    """The goal callback, which also notes of every check its seconds and the examples read, both for one trial."""

    def __init__(self, **options: Any):
        super().__init__(**options)
        self.seconds_a_trial: list[float] = []
        self.examples_a_trial: list[float] = []

    def _verdicts(self, task: StudyTask, rows: Mapping[int, int]) -> dict[int, Verdict]:
        start = time.perf_counter()
        found = super()._verdicts(task, rows)
        if found:
            self.seconds_a_trial.append((time.perf_counter() - start) / len(found))
            self.examples_a_trial.append(statistics.mean(verdict.examples_read for verdict in found.values()))
        return found


@dataclass
class Run:
    """One study as it ran: its records, its wall time, and its goal checks."""

    frame: pd.DataFrame
    seconds: float
    goal: TimedGoal

    @property
    def steps_to_result(self) -> int | None:
        """K*, None where no trial reached the goal."""
        best = records.best(self.frame)
        return None if best is None else int(best["steps_to_result"])


def metaparameters(cfg: DictConfig, trials: int) -> dict[str, list[Any]]:
    """The trials' numbers and the first points of the workload's search space, by key."""
    points = space.sample([space.parse(key, text) for key, text in cfg.space.items()], 0, trials)
    return {"trial": list(range(trials)), **points}


def run_study(cfg: DictConfig, folder: Path, trials: int, changes: Mapping[str, Any]) -> Run:
    """Run a study our way in a folder of its own; what it needs is prepared as the command itself would."""
    values = metaparameters(cfg, trials) | {"folder": str(folder), "logger": None}
    values |= {"callbacks.goal._target_": "dps.bench.study.TimedGoal", **changes}
    (folder / ".hydra").mkdir(parents=True)
    start = time.perf_counter()
    trainer = fit.fit_here(with_values(cfg, values))
    seconds = time.perf_counter() - start
    goals = [callback for callback in trainer.callbacks if isinstance(callback, TimedGoal)]  # type: ignore[attr-defined]
    return Run(records.read(folder), seconds, goals[0])


def plain_masks(model: nn.Module, data: StudyData, trial: int, sparsity: float) -> dict[str, Tensor]:
    """SNIP masks of one trial from gradients of batches of 100, as the study's code adds them up."""
    initialise(model, trial)
    weights = {name: values.detach()[None].to(data.train_images) for name, values in model.named_parameters()}
    scores = snip(model, weights, data.train_images, data.train_labels, trial, examples_per_pass=100)
    return {name: mask[0] for name, mask in masks(scores, sparsity).items()}


def plain_steps_to_result(cfg: DictConfig, data: StudyData, trials: int) -> tuple[list[int | None], float]:
    """Steps-to-result of each trial trained the plain way to its own end, and the seconds that all took."""
    rows = trials_of(with_values(cfg, metaparameters(cfg, trials)))
    options = trainer_options(cfg) | {"max_steps": cfg.max_steps, "check_val_every_n_epoch": None}
    options["val_check_interval"] = cfg.goal.interval_steps
    start, found = time.perf_counter(), []
    for row in rows:
        model = instantiate(cfg.model)
        mask = plain_masks(model, data, row["trial"], cfg.sparsity) if cfg.sparsity else {}
        task, _ = fit_plain(model, data, row, mask, options, cfg.goal.error)
        found.append(task.steps_to_result)
    return found, time.perf_counter() - start
