"""What is to be confirmed: the studies below a folder, each with its replicates and its best configurations."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

from dps.analysis.contenders import best_configurations
from dps.analysis.pooled import geometric_mean
from dps.analysis.replicates import finished_studies
from dps.analysis.study_folder import RECORDS, StudyFolder, find
from dps.confirm.confirmation import Confirmation
from dps.engine.recorded import configuration, refuse_unused
from dps.storage import records


def plan(folders: Sequence[Path], count: int, times: float | None, overrides: Sequence[str]) -> list[Confirmation]:
    """The confirmations of the studies at or below the folders in which a trial reached the goal, none begun yet.

    `count` configurations each, for `times` K* at most, the mean over replicates (None: for the study's whole budget).
    ValueError, one sentence, on whatever is wrong, before anything is trained.
    """
    found = [one for group in _studies(folders) if (one := _planned(group, count, times, overrides)) is not None]
    if not found:
        where = ", ".join(map(str, folders))
        raise ValueError(f"{where}: no trial of any study reached the goal, so there is nothing to confirm")
    refuse_unused(overrides, [one.cfg for one in found])
    for one in found:
        one.refuse_other()
        one.study(0)
    return found


def _studies(folders: Sequence[Path]) -> Iterator[list[StudyFolder]]:
    """The studies, each as its replicates in order."""
    for home, group in finished_studies(find(folders, RECORDS)).items():
        if group[0].path != home:
            raise ValueError(f"{group[0].path} is a replicate of the study {home}: give the folder of the study")
        yield group


def _planned(
    group: Sequence[StudyFolder], count: int, times: float | None, overrides: Sequence[str]
) -> Confirmation | None:
    """A study's confirmation; None where no trial of it reached the goal."""
    k_stars = [records.k_star(one.trials) for one in group]
    if not (reached := [steps for steps in k_stars if steps is not None]):
        return None
    cfg = configuration(group[0].path, overrides)
    max_steps, interval = cfg.max_steps, cfg.goal.interval_steps
    if times is not None:
        k_star, *_ = geometric_mean(reached)
        checks = math.ceil(round(times * k_star / interval, 9))  # 1.1 * 800 / 16 is 55.00000000000001 to a computer
        max_steps = min(max_steps, checks * interval)
    configurations = best_configurations([one.trials for one in group], count)
    return Confirmation(group[0].path, cfg, configurations, k_stars, max_steps)
