"""Whole studies: ours run and counted, and the plain way run whole where that is short."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from hydra.utils import instantiate
from omegaconf import DictConfig
from torch import Tensor

from dps.bench.plain import fit_plain
from dps.bench.timing import trainer_options, with_values
from dps.data import StudyData
from dps.engine import fit
from dps.engine.module import Check, StudyTask
from dps.engine.study import Study
from dps.models import StackedModel
from dps.protocol import space
from dps.pruning import Unpruned, masks, snip
from dps.storage import records


@dataclass
class Run:
    """One study as it ran: its records, its wall time, and its goal checks."""

    frame: pd.DataFrame
    seconds: float
    checks: Sequence[Check]

    @property
    def steps_to_result(self) -> int | None:
        """K*, None where no trial reached the goal."""
        return records.k_star(self.frame)


def metaparameters(cfg: DictConfig, trials: int) -> dict[str, list[Any]]:
    """The trials' numbers and the first points of the workload's search space, by key."""
    points = space.sample([space.parse(key, text) for key, text in cfg.space.items()], 0, trials)
    return {"trial": list(range(trials)), **points}


def run_study(cfg: DictConfig, folder: Path, trials: int, changes: Mapping[str, Any]) -> Run:
    """Run a study our way in a folder of its own; what it needs is prepared as the command itself would."""
    values = metaparameters(cfg, trials) | {"folder": str(folder), "logger": None}
    (folder / ".hydra").mkdir(parents=True)
    start = time.perf_counter()
    trainer = fit.fit_here(Study.parse(with_values(cfg, {**values, **changes})))
    seconds = time.perf_counter() - start
    task = trainer.lightning_module
    assert isinstance(task, StudyTask)
    return Run(records.read(folder), seconds, task.checks)


def plain_masks(cfg: DictConfig, data: StudyData, seed: int) -> dict[str, Tensor]:
    """SNIP masks of the trial of this seed from gradients of batches of 100, as the study's code adds them up."""
    images, labels = data.train_images, data.train_labels
    model = StackedModel(partial(instantiate, cfg.model), images)
    named = zip(model.names, model.initial(seed), strict=True)
    weights = {name: values[None].to(images) for name, values in named}
    scores = snip(Unpruned(model, weights, images, labels, seed, cfg.sparsity), examples_per_pass=100)
    return {name: mask[0] for name, mask in masks(scores, cfg.sparsity).items()}


def plain_steps_to_result(
    cfg: DictConfig, data: StudyData, trials: int, changes: Mapping[str, Any]
) -> tuple[list[int | None], float]:
    """Steps-to-result of each trial trained the plain way to its own end, and the seconds that all took."""
    sized = with_values(cfg, {**metaparameters(cfg, trials), **changes})
    options = trainer_options(sized) | {"max_steps": sized.max_steps, "check_val_every_n_epoch": None}
    options["val_check_interval"] = sized.goal.interval_steps
    start, found = time.perf_counter(), []
    for row in Study.parse(sized).trials:
        mask = plain_masks(sized, data, row["seed"]) if sized.sparsity else {}
        task, _ = fit_plain(sized, data, row, mask, options, sized.goal.error)
        found.append(task.steps_to_result)
    return found, time.perf_counter() - start
