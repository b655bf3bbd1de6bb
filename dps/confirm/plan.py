"""What is to be confirmed: the studies below a folder, each with its replicates and its best configurations."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from dps.analysis import study_folder
from dps.analysis.contenders import best_configurations
from dps.analysis.mixtures import refuse_mixtures
from dps.analysis.pooled import geometric_mean
from dps.analysis.study_folder import CHECKPOINTS, StudyFolder
from dps.confirm.configuration import configuration
from dps.confirm.confirmation import Confirmation
from dps.storage import records


def plan(folder: Path, count: int, times: float | None, overrides: Sequence[str]) -> list[Confirmation]:
    """The confirmations of the studies at or below a folder in which a trial reached the goal, none begun yet.

    `count` configurations each, for `times` K* at most, the mean over replicates (None: for the study's whole budget).
    ValueError, one sentence, on whatever is wrong, before anything is trained.
    """
    found = [one for group in _by_study(folder) if (one := _planned(group, count, times, overrides)) is not None]
    if not found:
        raise ValueError(f"{folder}: no trial of any study reached the goal, so there is nothing to confirm")
    for one in found:
        one.refuse_other()
        one.study(0)
    return found


def _by_study(folder: Path) -> list[list[StudyFolder]]:
    """The studies, each as its replicates in order."""
    groups: dict[Path, list[StudyFolder]] = {}
    for path in study_folder.find([folder], (records.FILE, CHECKPOINTS)):
        found = study_folder.read(path)
        if found.running:
            what = f"{len(found.trials)} of its {found.trials_asked} trials recorded"
            raise ValueError(f"{path} is still running or was stopped, with {what}; confirm it when it is finished")
        groups.setdefault(path.parent if path.name.startswith("replicate=") else path, []).append(found)
    for home, group in groups.items():
        group.sort(key=lambda one: int(one.config.get("replicate", 0)))
        if group[0].path != home:
            raise ValueError(f"{folder} is a replicate of the study {home}: give the folder of the study")
        refuse_mixtures([one for one in group if not one.trials.empty])
    return list(groups.values())


def _planned(
    group: Sequence[StudyFolder], count: int, times: float | None, overrides: Sequence[str]
) -> Confirmation | None:
    """A study's confirmation; None where no trial of it reached the goal."""
    best = [records.best(one.trials) for one in group]
    k_stars = [None if one is None else int(one["steps_to_result"]) for one in best]
    if not (reached := [steps for steps in k_stars if steps is not None]):
        return None
    cfg = configuration(group[0].path, overrides)
    max_steps, interval = cfg.max_steps, cfg.goal.interval_steps
    if times is not None:
        k_star, *_ = geometric_mean(reached)
        max_steps = min(max_steps, math.ceil(times * k_star / interval) * interval)
    configurations = best_configurations([one.trials for one in group], count)
    return Confirmation(group[0].path, cfg, configurations, k_stars, max_steps)
