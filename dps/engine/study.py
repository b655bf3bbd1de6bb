"""A study: one workload at one batch size and one sparsity, as its configuration has it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from dps.engine import check, devices
from dps.protocol.kinds import SEEDS_OF_A_REPLICATE
from dps.protocol.metaparameters import TABLE, Metaparameter, declared
from dps.protocol.values import is_int, require
from dps.storage import configurations, environments, ownership, records, trial_rows

if TYPE_CHECKING:
    from torch import nn

    from dps.data import StudyData

Trial = Mapping[str, Any]
RESERVED = ("step", "slices", "nesterov", "lr_schedule", "params", "weight")  # of schedules and optimizers


@dataclass(frozen=True)
class Study:
    """A checked configuration, and its trials: for each its "trial" (its number), "seed", and metaparameters by name.

    `metaparameters` are those that the optimizer and the schedule of this study have; `elsewhere` is what to do where
    its folder is another study's.
    """

    cfg: DictConfig
    metaparameters: tuple[Metaparameter, ...]
    trials: tuple[Trial, ...]
    elsewhere: str = ownership.ELSEWHERE

    @classmethod
    def parse(cls, cfg: DictConfig) -> Study:
        """The study of a composed configuration; ValueError that names the option, its value and what would be right.

        A list of metaparameters goes with a list of trials, value by value; a scalar stands for all trials.
        """
        check.check(cfg)
        every = declared(cfg.get("metaparameters"))
        for one in every[len(TABLE) :]:
            right = one.name not in (*trial_rows.TYPES, *RESERVED)
            require(right, "metaparameters", one.name, "a name that neither trials.csv nor an optimizer has already")
        known = tuple(one for one in every if _has(cfg, one))
        return cls(cfg, known, tuple(_trials(cfg, known)))

    @property
    def folder(self) -> Path:
        """Where its results lie."""
        return Path(self.cfg.folder)

    @property
    def about(self) -> dict[str, Any]:
        """The columns of trials.csv that all its trials share."""
        return configurations.about(self.cfg)

    @property
    def finishers(self) -> int | None:
        """How many of its trials reach the goal before the race is over; None where there is no race."""
        return int(self.cfg.race) or None

    @property
    def job(self) -> str:
        """What the job that runs exactly these trials is called."""
        return job_name([trial["trial"] for trial in self.trials])

    @property
    def checkpoint(self) -> Path:
        """The checkpoint of its job."""
        return self.folder / f"{self.job}.ckpt"

    def model(self) -> nn.Module:
        """One trial's model, made anew."""
        from hydra.utils import instantiate

        model: nn.Module = instantiate(self.cfg.model)
        return model

    def data(self) -> StudyData:
        """Its data, not read yet."""
        from hydra.utils import instantiate

        cfg = self.cfg
        data: StudyData = instantiate(cfg.data, batch_size=cfg.batch_size, seed=cfg.seed_data + cfg.replicate)
        return data

    @property
    def searched(self) -> list[str]:
        """The options that its trials may differ in."""
        return [one.option for one in self.metaparameters]

    def refuse_another(self) -> None:
        """ValueError where its folder is another study's, or is trained in as another, or a file of it is damaged."""
        from dps.stack import shape

        ownership.is_of(self.folder, self.cfg, self.searched, self.elsewhere)
        ownership.sweep_trials(self.folder)
        environments.read(self.folder)
        shape.recorded(self.folder)
        self.missing()

    def missing(self) -> list[Trial]:
        """Those of its trials that are not recorded yet; ValueError where one is, with other metaparameters."""
        records.refuse_conflict(self.folder, self.trials, self.metaparameters, self.elsewhere)
        recorded = set(records.read(self.folder)["trial"])
        return [trial for trial in self.trials if trial["trial"] not in recorded]

    def steps_to_result(self) -> int | None:
        """K* of its trials, as far as they are recorded; its folder may hold those of other jobs, too."""
        recorded = records.read(self.folder)
        return records.k_star(recorded[recorded["trial"].isin([trial["trial"] for trial in self.trials])])

    def record(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Add rows, each with a trial's number and how it ended, to trials.csv."""
        trials = {trial["trial"]: trial for trial in self.trials}
        names = [one.name for one in self.metaparameters]
        full = [{**self.about, **trials[row["trial"]], **row} for row in rows]
        records.merge(self.folder, full, [name for name in names if name not in trial_rows.TYPES])


def job_name(trial: Any) -> str:
    """What the job that runs exactly these trials of a study is called, in the names of its files.

    In configurations it is ${job:${trial}}, which stands for something before the trials are checked, too.
    """
    numbers = _as_list(trial)
    if numbers and all(map(is_int, numbers)):
        numbers = sorted(numbers)
        if numbers == list(range(numbers[0], numbers[0] + len(numbers))):
            return f"{ownership.JOBS}{numbers[0]}-{numbers[-1]}"
    return f"{ownership.JOBS}{hashlib.sha256(repr(numbers).encode()).hexdigest()[:16]}"


def shortest(value: Any) -> Any:
    """A number for the name of a folder, where 0.0 and 0 are one; anything else as it is."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


OmegaConf.register_new_resolver("job", job_name, replace=True)
OmegaConf.register_new_resolver("shortest", shortest, replace=True)
OmegaConf.register_new_resolver("gpus", devices.gpus, replace=True)


def _trials(cfg: DictConfig, known: Sequence[Metaparameter]) -> list[Trial]:
    numbers = _as_list(cfg.trial)
    right = bool(numbers) and len(set(numbers)) == len(numbers)
    require(right, "trial", cfg.trial, "a number from 0 on, or a list of different ones")
    columns: dict[str, list[Any]] = {"trial": numbers, "seed": _seeds(cfg, len(numbers))}
    for one in known:
        values = _broadcast(one.option, OmegaConf.select(cfg, one.option), len(numbers))
        for value in values:
            one.check(value)
        columns[one.name] = [one.type(value) for value in values]
    return [{name: values[i] for name, values in columns.items()} for i in range(len(numbers))]


def _seeds(cfg: DictConfig, trials: int) -> list[int]:
    """Of the initial weights: those of another replicate are others."""
    seeds = _broadcast("seed", cfg.seed, trials)
    return [cfg.replicate * SEEDS_OF_A_REPLICATE + seed for seed in seeds]


def _broadcast(option: str, value: Any, trials: int) -> list[Any]:
    values = _as_list(value)
    if isinstance(value, ListConfig | list | tuple) and len(values) != trials:
        raise ValueError(f"{option} lists {len(values)} values for {trials} trials: give one for each, or a single one")
    return values if len(values) == trials else values * trials


def _as_list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, ListConfig | list | tuple) else [value]


def _has(cfg: DictConfig, one: Metaparameter) -> bool:
    """Whether the trials have it, which those whose record is too old to have the key do not."""
    part = cfg.get(one.owner) or {}
    return one.name in list(part) and not (one.optional and part[one.name] is None)  # `in part` is false for null
