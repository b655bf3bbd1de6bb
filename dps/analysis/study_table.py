"""study.csv: each study with its K*, how its trials ended, and the metaparameters of its best trial."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd

from dps.analysis import k_star
from dps.analysis.columns import CELL, PROTOCOL
from dps.analysis.command import command
from dps.analysis.study_folder import StudyFolder
from dps.protocol.metaparameters import TABLE, Metaparameter
from dps.protocol.outcome import STATUSES
from dps.storage import records, trial_rows

SORTED_BY = ["workload", "sparsity", "batch_size", "goal_error", "pruning", "replicate"]
SEARCHES = {f"best_of_{trials}": trials for trials in k_star.BEST_OF}
COARSER = {f"steps_at_{times}_intervals": times for times in (2, 4)}
FOUND = (
    "steps_to_result",
    *COARSER,
    *(f"{name}{end}" for name in SEARCHES for end in ("", "_low", "_high")),
    "best_trial",
)
SECONDS = "train_seconds"  # of the best trial
SAID = ("boundary", "space", "state", "command", "folder")


def rows_of_studies(studies: Sequence[StudyFolder], metaparameters: Sequence[Metaparameter] = TABLE) -> pd.DataFrame:
    """A row for each study that has recorded a trial, with K* in steps; empty where not known.

    `steps_at_2_intervals` is what K* would be if the goal were checked half as often, where this record tells.
    `best_of_5` is the median of K* over searches of 5 trials, with its 95% interval, and so on; see k_star.best_of.
    `boundary` names those of the best trial's metaparameters that lie in the outer 5% of their search range.
    """
    types = _types(metaparameters)
    rows = pd.DataFrame([_row(study, metaparameters) for study in studies], columns=list(types))
    return rows.astype({name: trial_rows.DTYPES[kind] for name, kind in types.items()}).sort_values(
        SORTED_BY, ignore_index=True
    )


def known_to(studies: Iterable[StudyFolder]) -> tuple[Metaparameter, ...]:
    """The metaparameters that any of the studies knows, those of TABLE first.

    ValueError where two studies declare one name differently.
    """
    found: dict[str, tuple[Metaparameter, StudyFolder]] = {}
    for study in studies:
        for one in study.metaparameters:
            known, other = found.setdefault(one.name, (one, study))
            if known != one:
                raise ValueError(
                    f"{other.path} and {study.path} declare the metaparameter {one.name} differently; report on them "
                    "apart"
                )
    return tuple(one for one, _ in found.values())


def _types(metaparameters: Sequence[Metaparameter]) -> dict[str, type]:
    return {
        **{name: trial_rows.TYPES[name] for name in (*PROTOCOL, *CELL, "replicate")},
        **dict.fromkeys(("trials", *STATUSES, *FOUND), int),
        SECONDS: float,
        **{one.name: one.type for one in metaparameters},
        **dict.fromkeys(SAID, str),
    }


def _row(study: StudyFolder, metaparameters: Sequence[Metaparameter]) -> dict[str, Any]:
    best = records.best(study.trials)
    row = {name: study.first[name] for name in (*PROTOCOL, *CELL, "replicate")}
    row |= {status: int((study.trials["status"] == status).sum()) for status in STATUSES}
    row |= {"trials": len(study.trials), "steps_to_result": None}
    bounds = k_star.bounds(study.trials)
    for name, times in COARSER.items():
        coarser = k_star.checked_every(*bounds, study.first["interval_steps"], times)
        row[name] = _steps(k_star.first_trials(*coarser, len(study.trials)))
    for name, trials in SEARCHES.items():
        found = k_star.best_of(*bounds, trials)
        row |= {f"{name}{end}": _steps(value) for end, value in zip(("", "_low", "_high"), found, strict=True)}
    if best is not None:
        row |= {"steps_to_result": best["steps_to_result"], "best_trial": best["trial"], SECONDS: best[SECONDS]}
        row |= {one.name: best[one.name] for one in metaparameters if one.name in best}
    return row | {
        "boundary": "" if best is None else study.boundary(best),
        "space": study.space,
        "state": "unfinished" if study.unfinished else "finished",
        "command": command(study),
        "folder": str(study.path),
    }


def _steps(value: float) -> int | None:
    return int(value) if math.isfinite(value) else None
