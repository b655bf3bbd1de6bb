"""Gathers what lies in the folders of studies: the frames that every table, figure and claim is made from."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import pandas as pd

from dps.analysis import environments
from dps.analysis.budget_table import smaller_budgets
from dps.analysis.columns import STUDY
from dps.analysis.confirmed import confirmed
from dps.analysis.coverage import absent
from dps.analysis.measured import FILES, gather_measured
from dps.analysis.mixtures import refuse_mixtures
from dps.analysis.networks import JUDGED, of_judged_criterion
from dps.analysis.pooled import pooled
from dps.analysis.runs import logged
from dps.analysis.study_folder import RECORDS, StudyFolder, find, read
from dps.analysis.study_table import known_to, rows_of_studies
from dps.analysis.theory_table import theory_of_curves
from dps.protocol.metaparameters import TABLE, Metaparameter
from dps.storage import confirmations, measurements, records


@dataclass(frozen=True)
class Results:
    """Everything a report is made from; `gather` makes one of the folders of studies.

    `trials` has every row of every trials.csv; `studies` (study.csv) a row for each study and replicate, with K* in
    steps, what smaller searches would find, the best trial's metaparameters and which of them lie in the outer 5% of
    their search range; `theory` (theory.csv) a row for each curve of K* against the batch size; `budgets` (budget.csv)
    what fewer trials would have found; `smoothness`, `noise` and `curves` what was measured during training. `missing`
    has a sentence for each study that is absent or unfinished, and for whatever else was left out. `metaparameters`
    are those that any study knows; `environments` has what trained the studies, as environments.tabulated gives it;
    `confirmed` has what fresh seeds confirmed, by the folder of the study, as confirmed.confirmed gives it, and
    `confirmations` every row of every confirm.csv, behind the columns STUDY; `runs` those in Weights & Biases, as
    runs.logged gives them.
    """

    trials: pd.DataFrame
    studies: pd.DataFrame
    theory: pd.DataFrame
    budgets: pd.DataFrame
    smoothness: pd.DataFrame
    noise: pd.DataFrame
    curves: pd.DataFrame
    missing: list[str]
    metaparameters: Sequence[Metaparameter] = TABLE
    environments: pd.DataFrame = field(default_factory=partial(environments.tabulated, {}))
    confirmed: Mapping[str, pd.Series[Any]] = field(default_factory=dict)
    confirmations: pd.DataFrame = field(default_factory=partial(pd.DataFrame, columns=list(STUDY)))
    runs: pd.DataFrame = field(default_factory=partial(logged, ()))

    @property
    def measurements(self) -> dict[str, pd.DataFrame]:
        """What was measured during training, by the name of its file: smoothness, noise and curves."""
        frames = (self.smoothness, self.noise, self.curves)
        return {kind.name: frame for kind, frame in zip(measurements.KINDS, frames, strict=True)}

    @cached_property
    def k_star(self) -> pd.DataFrame:
        """K* of each study over its replicates (k_star.csv), as pooled.pooled gives it."""
        return pooled(self.studies, self.confirmed)


def load(*folders: str | os.PathLike[str]) -> Results:
    """All results at or below the folders of studies or sweeps; ValueError as gather has it."""
    return gather([Path(folder) for folder in folders])


def gather(folders: Sequence[Path], measured: Sequence[Path] = ()) -> Results:
    """All results at or below the `folders`, and the measurements also at or below those of `measured`.

    ValueError where a folder holds no results, a file is damaged, two folders have the same place in a grid, or studies
    of one workload and goal differ in something that no grid varies.
    """
    found = [read(path) for path in find(folders, RECORDS)]
    recorded = [study for study in found if not study.trials.empty]
    if not recorded:
        raise ValueError(f"{', '.join(map(str, folders))}: no study has recorded a trial yet; report when one has")
    refuse_mixtures(recorded)
    known = known_to(recorded)
    studies = rows_of_studies(recorded, known)
    paths = [study.path for study in found] + (find(measured, FILES) if measured else [])
    paths = list({path.resolve(): path for path in paths}.values())
    smoothness, noise, curves = (gather_measured(paths, kind) for kind in measurements.KINDS)
    trials = {str(study.path): study.trials for study in recorded}
    return Results(
        trials=joined(list(trials.values())),
        studies=studies,
        theory=theory_of_curves(studies, smoothness, noise, curves),
        budgets=smaller_budgets(studies, trials),
        smoothness=smoothness,
        noise=noise,
        curves=curves,
        missing=[*_unfinished(found), *absent(studies, _begun(found)), *_without_space(studies), *_unjudged(studies)],
        metaparameters=known,
        confirmed=_confirmed(recorded),
        confirmations=_confirmations(recorded),
        runs=logged(dict.fromkeys(folder for study in recorded for folder in (study.path, study.path.parent))),
        environments=environments.tabulated({str(study.path): study.environments for study in recorded}),
    )


def joined(trials: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """The trials of all studies in one frame, the metaparameters of any of them between seed and goal_error."""
    names = list(dict.fromkeys(name for frame in trials for name in records.metaparameters_of(frame)))
    fixed = [name for name in trials[0] if name not in names]
    at = fixed.index("goal_error")
    return pd.concat(trials, ignore_index=True)[[*fixed[:at], *names, *fixed[at:]]]


def _confirmed(studies: Sequence[StudyFolder]) -> dict[str, pd.Series[Any]]:
    found = {str(study.path): confirmed(study.path) for study in studies}
    return {folder: row for folder, row in found.items() if row is not None}


def _confirmations(studies: Sequence[StudyFolder]) -> pd.DataFrame:
    found = [(study.first, frame) for study in studies if (frame := confirmations.read(study.path)) is not None]
    of_each = [frame.assign(**{name: first[name] for name in STUDY}) for first, frame in found]
    every = pd.concat(of_each, ignore_index=True) if of_each else pd.DataFrame(columns=list(STUDY))
    return every[[*STUDY, *(name for name in every if name not in STUDY)]]


def _unfinished(studies: Sequence[StudyFolder]) -> list[str]:
    return [
        f"{study.path} is still running or was stopped, with {len(study.trials)} of its {study.trials_asked} trials "
        "recorded: left out of the fits."
        for study in studies
        if study.unfinished
    ]


def _begun(studies: Sequence[StudyFolder]) -> set[tuple[object, ...]]:
    """The studies without a recorded trial, as coverage.absent takes them."""
    return {_place({"replicate": 0, **study.config}) for study in studies if study.trials.empty}


def _place(config: Mapping[str, Any]) -> tuple[object, ...]:
    criterion = "" if config.get("sparsity") == 0 else config.get("names.pruning")
    head, tail = ("workload", "goal.error", "sparsity"), ("batch_size", "replicate")
    return (*map(config.get, head), criterion, *map(config.get, tail))


def _without_space(studies: pd.DataFrame) -> list[str]:
    unknown = studies[studies["space"] == ""]
    if unknown.empty:
        return []
    return [
        f"In {len(unknown)} of {len(studies)} studies the trials are not the Sobol points of a recorded space, so that "
        "whether the best lies at the edge of what was searched is not known."
    ]


def _unjudged(studies: pd.DataFrame) -> list[str]:
    left = studies.drop(of_judged_criterion(studies).index).groupby("workload")["pruning"].unique()
    return [
        f"The claims judge one pruning criterion of a workload, {JUDGED} if it is among them; of {workload} they leave "
        f"out {', '.join(sorted(criteria))}."
        for workload, criteria in left.items()
    ]
