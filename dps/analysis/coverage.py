"""How much of each grid is there, and what is missing from it."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import product

import pandas as pd

from dps.analysis.columns import GRID
from dps.analysis.networks import Network, networks

Place = tuple[Network, int, int]  # the network, the batch size and the replicate


@dataclass(frozen=True)
class Grid:
    """The studies of one workload and goal error: the product of all their batch sizes, networks and replicates.

    `studies` has their rows of study.csv.
    """

    workload: str
    goal_error: float
    studies: pd.DataFrame

    @property
    def batch_sizes(self) -> list[int]:
        """Those of any study, ascending."""
        return sorted(set(self.studies["batch_size"].astype(int)))

    @property
    def networks(self) -> list[Network]:
        """Those of any study, by sparsity."""
        return sorted(set(networks(self.studies)))

    @property
    def replicates(self) -> list[int]:
        """Those of any study, ascending."""
        return sorted(set(self.studies["replicate"].astype(int)))

    @property
    def places(self) -> dict[Place, pd.Series]:
        """The study in each place that has one."""
        rows = (row for _, row in self.studies.iterrows())
        places = zip(
            networks(self.studies),
            *(self.studies[name].astype(int) for name in ("batch_size", "replicate")),
            strict=True,
        )
        return dict(zip(places, rows, strict=True))

    @property
    def missing(self) -> list[Place]:
        """The places without a study that has recorded a trial, by criterion, sparsity, batch size and replicate."""
        by_criterion = sorted(self.networks, key=lambda network: network[::-1])
        places = self.places
        every = product(by_criterion, self.batch_sizes, self.replicates)
        return [place for place in every if place not in places]

    def __str__(self) -> str:
        """For example "10 of 12 studies finished, 1 unfinished, 1 missing"."""
        states = [str(study["state"]) for study in self.places.values()]
        size = len(self.batch_sizes) * len(self.networks) * len(self.replicates)
        counts = {"unfinished": states.count("unfinished"), "missing": len(self.missing)}
        noun = "study" if size == 1 else "studies"
        others = [f"{count} {state}" for state, count in counts.items() if count]
        return ", ".join([f"{states.count('finished')} of {size} {noun} finished", *others])


def grids(studies: pd.DataFrame) -> Iterator[Grid]:
    """The grids that the rows of study.csv belong to, in the order of their workloads."""
    for (workload, goal_error), rows in studies.groupby(list(GRID)):
        yield Grid(str(workload), float(goal_error), rows)


def absent(studies: pd.DataFrame, begun: Collection[tuple[object, ...]]) -> list[str]:
    """A sentence for each place of a grid at which no study was even begun.

    `begun` has the workload, goal error, sparsity, criterion (empty where dense), batch size and replicate of studies
    without a recorded trial.
    """
    sentences = []
    for grid in grids(studies):
        for (sparsity, pruning), batch_size, replicate in grid.missing:
            if (grid.workload, grid.goal_error, sparsity, pruning, batch_size, replicate) not in begun:
                network = f"sparsity={sparsity:g}" + (f" pruning={pruning}" if pruning else "")
                network += f" replicate={replicate}" if replicate else ""
                sentences.append(
                    f"{grid.workload} with goal.error={grid.goal_error:g} has no study at batch_size={batch_size} "
                    f"{network}."
                )
    return sentences
