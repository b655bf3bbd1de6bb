"""How much of each grid is there."""

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

Network = tuple[float, str]  # sparsity, and the criterion that pruned to it: none in a dense network


@dataclass(frozen=True)
class Grid:
    """The studies of one workload and goal: the product of all their batch sizes and all their networks."""

    workload: str
    goal_error: float
    studies: pd.DataFrame  # rows of study.csv

    @property
    def batch_sizes(self) -> list[int]:
        """Those of any study, ascending."""
        return sorted(set(self.studies["batch_size"].astype(int)))

    @property
    def networks(self) -> list[Network]:
        """Those of any study, by sparsity."""
        return sorted(set(self._networks()))

    @property
    def places(self) -> dict[tuple[Network, int], pd.Series]:
        """The study at each network and batch size that has one."""
        rows = (row for _, row in self.studies.iterrows())
        return dict(zip(zip(self._networks(), self.studies["batch_size"].astype(int), strict=True), rows, strict=True))

    def __str__(self) -> str:
        """For example "10 of 12 studies finished, 1 running, 1 missing"."""
        states = [str(study["state"]) for study in self.places.values()]
        size = len(self.batch_sizes) * len(self.networks)
        counts = {"running": states.count("running"), "missing": size - len(states)}
        noun = "study" if size == 1 else "studies"
        others = [f"{count} {state}" for state, count in counts.items() if count]
        return ", ".join([f"{states.count('finished')} of {size} {noun} finished", *others])

    def _networks(self) -> list[Network]:
        columns = (self.studies["sparsity"].astype(float), self.studies["pruning"])
        return [(sparsity, pruning if sparsity else "") for sparsity, pruning in zip(*columns, strict=True)]


def grids(studies: pd.DataFrame) -> Iterator[Grid]:
    """The grids that the rows of study.csv belong to, in the order of their workloads."""
    for (workload, goal_error), rows in studies.groupby(["workload", "goal_error"]):
        yield Grid(str(workload), float(goal_error), rows)
