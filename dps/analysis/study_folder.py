"""One study as its folder has it: its trials, its configuration, what was typed, and what was searched."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dps.protocol.kinds import SEEDS_OF_A_REPLICATE
from dps.protocol.metaparameters import Metaparameter, declared
from dps.protocol.space import Dimension, parse, sample
from dps.storage import checkpoints, configurations, confirmations, environments, ownership, records
from dps.storage.files import damaged, read_yaml
from dps.storage.trial_rows import DTYPES

RECORDS = (records.FILE, checkpoints.OF_JOBS)  # either makes a folder that of a study
OUTER_FRACTION = 0.05  # of a search range, at either end
REMEDY = "restore the file, or remove it to report without it"


@dataclass(frozen=True)
class StudyFolder:
    """A study's folder: `trials` as records.read has them, `config` by dotted key ({} where there is none)."""

    path: Path
    trials: pd.DataFrame
    config: Mapping[str, Any]
    metaparameters: Sequence[Metaparameter]  # that its configuration knows
    overrides: Sequence[str] | None  # as typed for the first job; None where they are not recorded
    environments: Sequence[Mapping[str, Any]]  # that trained its trials; none where none is recorded
    unfinished: bool  # still running, or stopped before all of its trials were recorded
    trials_asked: int  # when the study is finished

    @property
    def first(self) -> pd.Series[Any]:
        """Any one trial, for what all of them share."""
        return self.trials.iloc[0]

    @cached_property
    def searched(self) -> list[Dimension]:
        """The dimensions whose Sobol points the trials are; none where the recorded space does not give those points.

        It does not where intervals were typed in its place, which are not recorded, or the trials were.
        """
        space = {key.removeprefix("space."): text for key, text in self.config.items() if key.startswith("space.")}
        dimensions = [parse(key, str(text)) for key, text in space.items() if isinstance(self.config.get(key), list)]
        if not dimensions or any(self._column(dimension) not in self.trials for dimension in dimensions):
            return []
        numbers = self.trials["trial"].to_numpy(int)
        if numbers.max() >= SEEDS_OF_A_REPLICATE:  # more than a sweep has
            return []
        points = sample(dimensions, 0, numbers.max() + 1, self.first["replicate"])
        agree = [
            np.allclose(
                self.trials[self._column(dimension)].astype(float),
                np.take(points[dimension.key], numbers),
                rtol=1e-9,
                atol=0,
            )
            for dimension in dimensions
        ]
        return dimensions if all(agree) else []

    @property
    def space(self) -> str:
        """What was searched, as text; empty where it is not known."""
        return "; ".join(f"{one.key}={self.config[f'space.{one.key}']}" for one in self.searched)

    def boundary(self, best: pd.Series[Any]) -> str:
        """The metaparameters of the best trial in the outer fraction of their range, on the scale of the search."""
        found = []
        for dimension in self.searched:
            name = self._column(dimension)
            low, high = sorted(dimension.at(np.array([OUTER_FRACTION, 1 - OUTER_FRACTION])))
            if not low <= best[name] <= high:
                found.append(name)
        return " ".join(found)

    def _column(self, dimension: Dimension) -> str:
        """The column of the trials that holds a dimension's metaparameter; "" where the study knows none."""
        return next((one.name for one in self.metaparameters if one.option == dimension.key), "")


def find(folders: Iterable[Path], patterns: Sequence[str]) -> list[Path]:
    """The folders, at or below those given, that hold a file of these names; each once, in order, none of fresh seeds.

    ValueError where a folder does not exist or nothing is found in it.
    """
    found: dict[Path, Path] = {}
    for folder in map(Path, folders):
        if not folder.is_dir():
            raise ValueError(f"{folder} is not a folder; give the folder of a sweep or of a study")
        here = sorted({path.parent for pattern in patterns for path in folder.rglob(pattern)})
        here = [path for path in here if not confirmations.is_run(path)]
        if not here:
            raise ValueError(f"{folder} holds no {' or '.join(patterns)}; give a folder that does, at any depth")
        for path in here:
            found.setdefault(path.resolve(), path)
    return list(found.values())


def read(path: Path) -> StudyFolder:
    """The study in a folder; ValueError where a file is damaged."""
    loaded = configurations.read(path, REMEDY) or {}
    config = pd.json_normalize(loaded).iloc[0].to_dict() if loaded else {}
    try:
        metaparameters = declared(loaded.get("metaparameters"))
        for option, interval in (loaded.get("space") or {}).items():
            parse(option, str(interval))
    except ValueError as error:
        raise damaged(path / configurations.FILE, str(error), REMEDY) from error
    trials = records.read(path)
    trials = trials.astype({one.name: DTYPES[one.type] for one in metaparameters if one.name in trials})
    first_job, sweep = config.get("trial", []), ownership.sweep_trials(path)
    asked = {*(first_job if isinstance(first_job, list) else [first_job])}
    recorded = set(trials["trial"])
    of_sweep = sum(number < sweep for number in recorded)
    return StudyFolder(
        path,
        trials,
        config,
        metaparameters=metaparameters,
        overrides=_overrides(path),
        environments=environments.read(path),
        unfinished=of_sweep < sweep or not asked <= recorded or any(path.glob(checkpoints.OF_JOBS)),
        trials_asked=sweep + sum(number >= sweep for number in asked | recorded),
    )


def _overrides(path: Path) -> list[str] | None:
    found: list[str] | None = read_yaml(path / configurations.OVERRIDES, list, REMEDY)
    if not all(isinstance(override, str) for override in found or ()):
        raise damaged(path / configurations.OVERRIDES, "it does not hold a list of texts", REMEDY)
    return found
