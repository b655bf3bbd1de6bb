"""Studies, each as its replicates."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from dps.analysis import study_folder
from dps.analysis.mixtures import refuse_mixtures
from dps.analysis.study_folder import StudyFolder


def home(path: Path) -> Path:
    """The folder of a study, in which that of its first replicate is and the others lie."""
    return path.parent if path.name.startswith("replicate=") else path


def finished_studies(paths: Iterable[Path]) -> dict[Path, list[StudyFolder]]:
    """The studies in folders by their home, each as its replicates in order.

    ValueError where one is unfinished, or two folders hold the same one.
    """
    groups: dict[Path, list[StudyFolder]] = {}
    for path in paths:
        found = study_folder.read(path)
        if found.unfinished:
            what = f"{len(found.trials)} of its {found.trials_asked} trials recorded"
            raise ValueError(f"{path} is still running or was stopped, with {what}; wait until it is finished")
        groups.setdefault(home(path), []).append(found)
    for group in groups.values():
        group.sort(key=lambda one: int(one.config.get("replicate", 0)))
        refuse_mixtures([one for one in group if not one.trials.empty])
    return groups
