"""What the tables of studies that were trained again are headed by."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig

ROWS = ("batch_size=", "sparsity=", "replicate=")  # of a folder's name, which a row of the table says


def headings(studies: Sequence[tuple[DictConfig, Path]]) -> list[str]:
    """One for each study, of its configuration and its folder: workload and goal, and what tells it from the others.

    That is what its folder's name has beside batch size and sparsity, and the folder of its sweep.
    """
    rests = [", ".join(part for part in folder.name.split(",") if not part.startswith(ROWS)) for _, folder in studies]
    sweeps = [f"in {folder.parent}" for _, folder in studies]
    found = []
    for (cfg, _), *own in zip(studies, rests, sweeps, strict=True):
        told = [text for text, every in zip(own, (rests, sweeps), strict=True) if text and len(set(every)) > 1]
        found.append(", ".join([f"{cfg.workload}: steps to a validation error of {cfg.goal.error:g}", *told]))
    return found
