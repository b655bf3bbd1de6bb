"""K* of one network against the batch size, in each replicate.

R replicates    M batch sizes    N known K*, at most R M
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Floats = NDArray[np.float64]
NEVER = 1e-300  # steps, in place of none, whose logarithm is to be finite


class Checks(NamedTuple):
    """The known K* in a row, each between two checks of the goal: all (N,), steps and batch sizes as logarithms."""

    log_low: Floats
    log_high: Floats
    log_batch_size: Floats
    replicate: NDArray[np.int64]
    column: NDArray[np.int64]


@dataclass(frozen=True)
class Curve:
    """Batch sizes (M,) in ascending order, and K* (R, M) in steps, nan where it is not known.

    The goal is checked every `interval_steps` (R, M), so that it was first reached in (K* - interval, K*].
    `replicates` (R,) names the rows, in ascending order.
    """

    batch_sizes: Floats
    steps: Floats
    interval_steps: Floats
    replicates: NDArray[np.int64]

    def known(self) -> Floats:
        """The batch sizes at which K* is known in any replicate."""
        return self.batch_sizes[np.isfinite(self.steps).any(axis=0)]

    def checks(self) -> Checks:
        """The known K*, replicate by replicate."""
        row, column = np.nonzero(np.isfinite(self.steps))
        high = self.steps[row, column]
        low = np.maximum(high - self.interval_steps[row, column], NEVER)
        return Checks(np.log(low), np.log(high), np.log(self.batch_sizes[column]), row, column)

    def at(self, replicates: NDArray[np.int64], batch_sizes: Floats) -> Curve:
        """The same curve at these of its replicates and batch sizes alone."""
        cells = np.ix_(np.isin(self.replicates, replicates), np.isin(self.batch_sizes, batch_sizes))
        return Curve(batch_sizes, self.steps[cells], self.interval_steps[cells], replicates)


def in_common(own: Curve, other: Curve) -> tuple[Curve, Curve]:
    """Both curves where K* of both is known, in the same replicate and at the same batch size."""
    shared = np.intersect1d(own.replicates, other.replicates), np.intersect1d(own.batch_sizes, other.batch_sizes)
    curves = own.at(*shared), other.at(*shared)
    known = np.logical_and(*(np.isfinite(curve.steps) for curve in curves))
    kept = shared[0][known.any(axis=1)], shared[1][known.any(axis=0)]
    first, second = (replace(curve, steps=np.where(known, curve.steps, np.nan)).at(*kept) for curve in curves)
    return first, second


def curve_of(studies: pd.DataFrame) -> Curve:
    """The curve of the finished studies of one network, by their columns batch_size, replicate and steps_to_result."""
    done = studies[(studies["state"] == "finished") & studies["steps_to_result"].notna()]
    axes = done.set_index(["replicate", "batch_size"])
    steps, interval = (axes[name].astype("float64").unstack() for name in ("steps_to_result", "interval_steps"))
    return Curve(
        steps.columns.to_numpy(float), steps.to_numpy(float), interval.to_numpy(float), steps.index.to_numpy(np.int64)
    )
