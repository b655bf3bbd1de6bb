"""One recorded study and its repetition: the same trials, trained again in a folder of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from dps.analysis.environments import changes
from dps.analysis.reproduced import Comparison, compare
from dps.analysis.study_folder import StudyFolder
from dps.engine import devices
from dps.engine.run import run
from dps.engine.study import Study
from dps.stack import shape
from dps.storage import environments, records

FREE = ("commit",)  # of an environment: a commit that changes K* is to be found


@dataclass(frozen=True)
class Reproduction:
    """What is recorded of a study, K* of each of its replicates, None where the goal was not reached, and the study
    that trains the same trials again.
    """

    recorded: StudyFolder
    k_stars: Sequence[int | None]
    study: Study

    def missing(self) -> int:
        """How many trials are still to be trained; ValueError where its folder holds those of something else."""
        self.study.refuse_another()
        return len(self.study.missing())

    def train(self, overrides: Sequence[str]) -> None:
        """Train what is missing, with as many threads as the record has, where there are so many cores."""
        threads = self.recorded.environments[-1].get("threads") if self.recorded.environments else None
        with _threads(threads) if isinstance(threads, int) and threads <= devices.cores() else nullcontext():
            run(self.study, list(overrides))

    @cached_property
    def changes(self) -> Mapping[str, str]:
        """What differs between the environments and slices, by key; empty as well where no environment is recorded."""
        if not self.recorded.environments:
            return {}
        return changes(*(_environments(folder) for folder in (self.recorded.path, self.study.folder)))

    @property
    def is_same_software(self) -> bool:
        """Whether versions, device, threads, precision and slices are those recorded."""
        return bool(self.recorded.environments) and self.changes.keys() <= {*FREE}

    @cached_property
    def comparison(self) -> Comparison:
        """How it ended, beside its record."""
        after = records.read(self.study.folder)
        return compare(self.recorded.trials, after, self.k_stars, self.is_same_software)


@contextmanager
def _threads(number: int) -> Iterator[None]:
    """Train with so many threads, and leave it to the next study to say its own."""
    import torch

    before, inherited = torch.get_num_threads(), os.environ.get("OMP_NUM_THREADS")
    try:
        torch.set_num_threads(number)
        os.environ["OMP_NUM_THREADS"] = str(number)  # for ranks, which are processes of their own
        yield
    finally:
        torch.set_num_threads(before)
        os.environ.pop("OMP_NUM_THREADS")
        os.environ.update({} if inherited is None else {"OMP_NUM_THREADS": inherited})


def _environments(folder: Path) -> list[Mapping[str, Any]]:
    """All on which the rounding of a study's arithmetic depends."""
    kept = shape.recorded(folder)
    return [{**one, **(vars(kept) if kept else {})} for one in environments.read(folder)]
