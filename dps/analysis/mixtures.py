"""Refuses studies that cannot be reported on together: twice the same, or of one grid in name only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dps.analysis.columns import CHECKS, GRID, PARTS, REPLICATE
from dps.analysis.study_folder import StudyFolder
from dps.protocol.metaparameters import TABLE
from dps.storage import ownership

# Keys of .hydra/config.yaml that the columns have, or in which studies of one grid may differ.
FREE = (
    *ownership.IGNORED,
    *("workload", "names", "batch_size", "sparsity", "replicate", "pruning", "race"),
    *("goal.error", "goal.interval_steps", "max_steps", *ownership.FORMER_KEYS),
)


def refuse_mixtures(studies: Sequence[StudyFolder]) -> None:
    """ValueError where two folders are one study, or studies of one grid differ in something that no grid varies.

    Each of the studies has recorded a trial.
    """
    places: dict[tuple[Any, ...], StudyFolder] = {}
    grids: dict[tuple[Any, ...], StudyFolder] = {}
    for study in studies:
        first = study.first
        name = f"{first['workload']} with goal.error={first['goal_error']:g}"
        other = places.setdefault(tuple(first[list(REPLICATE)]), study)
        if other is not study:
            raise ValueError(
                f"{other.path} and {study.path} are both {name} at batch_size={first['batch_size']} "
                f"sparsity={first['sparsity']:g} pruning={first['pruning']} replicate={first['replicate']}; give only "
                "one of the two (hydra.sweeper.replicates repeats studies so that they can be reported on together)"
            )
        other = grids.setdefault(tuple(first[list(GRID)]), study)
        if different := _difference(_settings(other), _settings(study)):
            raise ValueError(
                f"{other.path} and {study.path} are both {name}, but not of one grid: {different}; report on them apart"
            )


def _settings(study: StudyFolder) -> dict[str, Any]:
    settings = {name: study.first[name] for name in (*PARTS, *CHECKS)}
    if study.config:
        free = (*FREE, *(one.option for one in study.metaparameters))
        kept = {key: value for key, value in ownership.of_today(study.config).items() if not _is_free(key, free)}
        settings |= kept | {"trainer.precision": study.config.get("trainer.precision")}
    optional = {one.name: "absent" if study.trials[one.name].isna().all() else "given" for one in TABLE if one.optional}
    return settings | optional | ({"space": study.space} if study.space else {})


def _is_free(key: str, free: Sequence[str]) -> bool:
    return key.endswith("._partial_") or any(f"{key}.".startswith(f"{name}.") for name in free)


def _difference(there: Mapping[str, Any], here: Mapping[str, Any]) -> str:
    """What both have and in which they differ; what only one of them records says nothing."""
    different = [key for key in there if key in here and there[key] != here[key]]
    return " and ".join(f"{key} is {there[key]} in the one and {here[key]} in the other" for key in different)
