"""One study and the configurations of it that are trained again: what each fresh seed runs, and what they showed."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from omegaconf import DictConfig

from dps.analysis.confirmed import summary
from dps.engine.options import FIRST_FRESH
from dps.engine.recorded import trained_again
from dps.engine.run import run
from dps.engine.study import Study
from dps.storage import confirmations, files, records


@dataclass(frozen=True)
class Confirmation:
    """A study's `folder`, its configuration, and the `configurations` that are trained again, as best_configurations
    has them, each for `max_steps` at most; `k_stars` are those of its replicates, None where the goal was not reached.
    """

    folder: Path
    cfg: DictConfig
    configurations: pd.DataFrame
    k_stars: Sequence[int | None]
    max_steps: int

    def study(self, seed: int) -> Study:
        """What a fresh seed, counted from 0, runs: all configurations, from one start, on one split and order.

        ValueError where what was typed is wrong.
        """
        folder = confirmations.run_folder(self.folder, seed)
        cfg = trained_again(
            self.cfg,
            folder,
            self.configurations,
            trial=list(range(len(self.configurations))),
            seed=0,
            replicate=FIRST_FRESH + seed,
            race=False,
            max_steps=self.max_steps,
        )
        elsewhere = self._remedy if folder.exists() else f"copy {self.folder} to where it can be written"
        return replace(Study.parse(cfg), elsewhere=elsewhere)

    def train(self, seed: int, overrides: Sequence[str]) -> None:
        """Train what is missing of a fresh seed, and bring confirm.csv up to date."""
        run(self.study(seed), list(overrides))
        self.record()

    def record(self) -> None:
        """Write confirm.csv from the seeds all of whose runs have ended: the fast runs of another end first."""
        with files.lock(self.folder):  # of two commands at once, the one that writes last has read last
            confirmations.write(self.folder, summary(self.configurations, self._steps(), self.max_steps))

    def seeds_trained(self) -> list[int]:
        """The fresh seeds all of whose runs have ended."""
        return [n for n in self._seeds_begun() if len(self._runs(n)) == len(self.configurations)]

    @property
    def _remedy(self) -> str:
        """What to do about runs of something else."""
        return f"remove {self.folder / confirmations.FILE} and {self.folder / confirmations.FOLDER}/"

    def refuse_other(self) -> None:
        """ValueError where the study's confirm.csv or its runs are of other configurations, or of another budget."""
        self._refuse_table()
        for seed in self._seeds_begun():
            self.study(seed).refuse_another()
            if (there := len(self._runs(seed))) > len(self.configurations):
                what = f"{confirmations.run_folder(self.folder, seed)} has {there}"
                raise ValueError(f"--configurations: {what}; give as many, or {self._remedy}")

    def _refuse_table(self) -> None:
        if (there := confirmations.read(self.folder)) is None:
            return
        path, remedy = self.folder / confirmations.FILE, self._remedy
        if len(there) != (count := len(self.configurations)):
            raise ValueError(
                f"--configurations: {path} is of {len(there)} and not of {count}; give as many, or {remedy}"
            )
        if (before := int(there["max_steps"].iloc[0])) != self.max_steps:
            what = f"{path} trains for {before} steps and not for {self.max_steps}"
            raise ValueError(f"--times: {what}; give what was given then, or {remedy}")
        names = list(self.configurations.columns)
        for (_, old), (_, new) in zip(there[names].iterrows(), self.configurations.iterrows(), strict=True):
            if not old.equals(new):
                trials = (f"trial {row['trial']:g} of replicate {row['replicate']:g}" for row in (old, new))
                what = f"its number {old['rank']:g} is {' and not '.join(trials)}"
                raise ValueError(f"{path} is of another search, for {what}; to confirm this one, {remedy}")

    def _seeds_begun(self) -> list[int]:
        there = (self.folder / confirmations.FOLDER).glob("seed=*")
        seeds = [path.name.removeprefix("seed=") for path in there]
        return sorted(int(seed) for seed in seeds if re.fullmatch("[0-9]+", seed))

    def _runs(self, seed: int) -> pd.DataFrame:
        return records.read(confirmations.run_folder(self.folder, seed))

    def _steps(self) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
        """Steps to the goal (S, C) of the seeds trained, infinite where one did not arrive."""
        found = [self._runs(seed).sort_values("trial")["steps_to_result"] for seed in self.seeds_trained()]
        rows = [steps.astype("float64").fillna(math.inf).tolist() for steps in found]
        return np.array(rows, float).reshape(len(rows), len(self.configurations))
