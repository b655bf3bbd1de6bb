"""Gathers what lies in the folders of studies: the frames that every table, figure and claim is made from."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from dps.analysis import budget_table, theory, theory_table
from dps.analysis.command import command
from dps.analysis.measured import DTYPES, FILES, gather_measured
from dps.analysis.study_folder import CHECKPOINTS, StudyFolder, find, read
from dps.storage import measurements, ownership, records

SHARED = ("dataset", "model", "optimizer", "lr_schedule", "interval_steps", "max_steps")  # by all studies of a grid
PLACE = ("workload", "goal_error", "pruning", "sparsity", "batch_size")
PLACE_KEYS = ("workload", "goal.error", "sparsity", "batch_size")  # in .hydra/config.yaml
# Keys of .hydra/config.yaml that the columns have, or in which studies of one grid may differ.
FREE = (
    *ownership.IGNORED,
    *("workload", "names", "batch_size", "data.batch_size", "sparsity", "pruning", "race"),
    *("goal.error", "goal.interval_steps", "max_steps"),
)
TYPES = {
    **{name: records.TYPES[name] for name in ("workload", "dataset", "model", "optimizer", "lr_schedule", "pruning")},
    **{name: records.TYPES[name] for name in ("goal_error", "interval_steps", "max_steps", "batch_size", "sparsity")},
    **dict.fromkeys(("trials", *records.STATUSES, "steps_to_result", "steps_low", "steps_high", "best_trial"), int),
    **{name: records.TYPES[name] for name in records.OPTIONS},
    **dict.fromkeys(("boundary", "space", "state", "command", "folder"), str),
}


@dataclass(frozen=True)
class Results:
    """Everything a report is made from.

    `trials` has every row of every trials.csv; `studies` (study.csv) a row for each study, with K* and its 95%
    bootstrap interval in steps, the best trial's metaparameters and which of them lie in the outer 5% of their search
    range; `theory` (theory.csv) a row for each curve of K* against the batch size; `budgets` (budget.csv) what fewer
    trials would have found; `smoothness`, `noise` and `curves` what was measured during training. `missing` has a
    sentence for each study that is absent or still running, and for whatever else was left out.
    """

    trials: pd.DataFrame
    studies: pd.DataFrame
    theory: pd.DataFrame
    budgets: pd.DataFrame
    smoothness: pd.DataFrame
    noise: pd.DataFrame
    curves: pd.DataFrame
    missing: list[str]


def gather(folders: Sequence[Path], measured: Sequence[Path] = ()) -> Results:
    """All results at or below the `folders`, and the measurements also at or below those of `measured`.

    ValueError where a folder holds no results, a file is damaged, two folders have the same place in a grid, or studies
    of one workload and goal differ in something that no grid varies.
    """
    found = [read(path) for path in find(folders, (records.FILE, CHECKPOINTS))]
    recorded = [study for study in found if not study.trials.empty]
    if not recorded:
        raise ValueError(f"{', '.join(map(str, folders))}: no study has recorded a trial yet; report when one has")
    _refuse_mixtures(recorded)
    studies = pd.DataFrame([_row(study) for study in recorded], columns=list(TYPES))
    studies = studies.astype({name: DTYPES[kind] for name, kind in TYPES.items()})
    order = ["workload", "sparsity", "batch_size", "goal_error", "pruning"]
    studies = studies.sort_values(order, ignore_index=True)
    paths = [study.path for study in found] + (find(measured, FILES) if measured else [])
    paths = list({path.resolve(): path for path in paths}.values())
    tables = (measurements.SMOOTHNESS, measurements.NOISE, measurements.CURVES)
    smoothness, noise, curves = (gather_measured(paths, table) for table in tables)
    by_folder = {str(study.path): study for study in recorded}
    return Results(
        trials=pd.concat([study.trials for study in recorded], ignore_index=True),
        studies=studies,
        theory=theory_table.table(studies, by_folder, smoothness, noise, curves),
        budgets=budget_table.table(studies, by_folder),
        smoothness=smoothness,
        noise=noise,
        curves=curves,
        missing=[*_running(found), *_absent(studies, found), *_without_space(studies)],
    )


def _row(study: StudyFolder) -> dict[str, Any]:
    best = records.best(study.trials)
    low, high = theory.steps_interval(*theory_table.bounds(study.trials))
    row = {name: study.first[name] for name in TYPES if name in records.TYPES and name not in records.OPTIONS}
    row |= {status: int((study.trials["status"] == status).sum()) for status in records.STATUSES}
    row |= {"trials": len(study.trials), "steps_to_result": None, "steps_low": _steps(low), "steps_high": _steps(high)}
    if best is not None:
        row |= {name: best[name] for name in ("steps_to_result", *records.OPTIONS)}
        row |= {"best_trial": best["trial"]}
    return row | {
        "boundary": "" if best is None else study.boundary(best),
        "space": study.space,
        "state": "running" if study.running else "finished",
        "command": command(study),
        "folder": str(study.path),
    }


def _steps(value: float) -> int | None:
    return int(value) if math.isfinite(value) else None


def _refuse_mixtures(studies: Sequence[StudyFolder]) -> None:
    places: dict[tuple[Any, ...], StudyFolder] = {}
    grids: dict[tuple[Any, ...], StudyFolder] = {}
    for study in studies:
        place = tuple(study.first[list(PLACE)])
        name = f"{place[0]} with goal.error={place[1]:g}"
        other = places.setdefault(place, study)
        if other is not study:
            raise ValueError(
                f"{other.path} and {study.path} are both {name} at batch_size={place[4]} sparsity={place[3]:g} "
                f"pruning={place[2]}; give only one of the two"
            )
        other = grids.setdefault(place[:2], study)
        if different := _difference(_settings(other), _settings(study)):
            raise ValueError(
                f"{other.path} and {study.path} are both {name}, but not of one grid: {different}; report on them apart"
            )


def _settings(study: StudyFolder) -> dict[str, Any]:
    settings = {name: study.first[name] for name in SHARED}
    if study.config:
        kept = {key: value for key, value in study.config.items() if not _free(key)}
        settings |= kept | {"trainer.precision": study.config.get("trainer.precision")}
    return settings | ({"space": study.space} if study.space else {})


def _free(key: str) -> bool:
    return key.endswith("._partial_") or any(f"{key}.".startswith(f"{name}.") for name in FREE)


def _difference(there: Mapping[str, Any], here: Mapping[str, Any]) -> str:
    """What both have and in which they differ; what only one of them records says nothing."""
    different = [key for key in there if key in here and there[key] != here[key]]
    return " and ".join(f"{key} is {there[key]} in the one and {here[key]} in the other" for key in different)


def _running(studies: Sequence[StudyFolder]) -> list[str]:
    return [
        f"{study.path} is still running or was stopped, with {len(study.trials)} of its {study.trials_asked} trials "
        "recorded: left out of the fits."
        for study in studies
        if study.running
    ]


def _absent(studies: pd.DataFrame, found: Sequence[StudyFolder]) -> list[str]:
    """The places of each grid, the product of its batch sizes and its networks, at which no study was even begun."""
    begun = {tuple(study.config.get(key) for key in PLACE_KEYS) for study in found if study.trials.empty}
    sentences = []
    for (workload, goal_error), grid in studies.groupby(["workload", "goal_error"]):
        networks = grid["pruning"].where(grid["sparsity"] > 0, "")  # dense: the same under any criterion
        places = set(zip(networks, grid["sparsity"], grid["batch_size"], strict=True))
        for pruning, sparsity in sorted({place[:2] for place in places}):
            for batch_size in sorted(set(grid["batch_size"])):
                place = (workload, goal_error, sparsity, batch_size)
                if (pruning, sparsity, batch_size) not in places and place not in begun:
                    network = f"sparsity={sparsity:g}" + (f" pruning={pruning}" if pruning else "")
                    sentences.append(
                        f"{workload} with goal.error={goal_error:g} has no study at batch_size={batch_size} {network}."
                    )
    return sentences


def _without_space(studies: pd.DataFrame) -> list[str]:
    unknown = studies[studies["space"] == ""]
    if unknown.empty:
        return []
    return [
        f"In {len(unknown)} of {len(studies)} studies the trials are not the Sobol points of a recorded space, so that "
        "whether the best lies at the edge of what was searched is not known."
    ]
