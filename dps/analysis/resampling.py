"""How sure one can be of a curve of K*: bootstrap intervals of what is read from it.

N trials of a study    M batch sizes
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dps.analysis.k_star import LEVEL
from dps.analysis.theory import LEAST_BATCH_SIZES, fit, linear_limit

Floats = NDArray[np.float64]
REPLICATES = 400
TAIL = round((1 - LEVEL) / 2, 6)  # exactly 0.025: the quantile is to be a replicate, not the one after it

Interval = tuple[float, float]
Curve = tuple[Floats, Floats]  # batch sizes and K*


@dataclass(frozen=True)
class Intervals:
    """95% percentile intervals of what a curve gives; resampled: "trials", "residuals" or, where there are none, ""."""

    resampled: str
    c1: Interval
    c2: Interval
    critical_batch_size: Interval
    linear_limit: Interval


def intervals(batch_sizes: ArrayLike, steps: ArrayLike, trials: Sequence[ArrayLike] | None, seed: int = 0) -> Intervals:
    """Bootstrap intervals of a curve, the same on each call.

    `trials` holds for each of the M batch sizes its trials' steps (inf: goal not reached), and each study's trials are
    drawn again; a batch size whose K* is then infinite is left out of that replicate. None, where the race has left
    steps unknown: residuals of log K* are drawn again, widened for the two fitted coefficients, from four
    batch sizes on.
    """
    b, k = np.asarray(batch_sizes, float), np.asarray(steps, float)
    generator = np.random.default_rng(seed)
    if trials is not None and len(b) >= LEAST_BATCH_SIZES:
        return _percentiles(_draw_trials(b, [np.asarray(row, float) for row in trials], generator), "trials")
    if trials is None and len(b) > LEAST_BATCH_SIZES:
        return _percentiles(_draw_residuals(b, k, generator), "residuals")
    return Intervals("", *[(math.nan, math.nan)] * 4)


def _draw_trials(b: Floats, trials: Sequence[Floats], generator: np.random.Generator) -> Iterator[Curve]:
    drawn = np.stack([generator.choice(row, (REPLICATES, len(row))).min(axis=1) for row in trials], axis=1)
    for k in drawn:
        known = np.isfinite(k)
        if known.sum() >= LEAST_BATCH_SIZES:
            yield b[known], k[known]


def _draw_residuals(b: Floats, k: Floats, generator: np.random.Generator) -> Iterator[Curve]:
    expected = fit(b, k).steps(b)
    residuals = np.log(k / expected)
    residuals = (residuals - residuals.mean()) * math.sqrt(len(b) / (len(b) - 2))
    for drawn in generator.choice(residuals, (REPLICATES, len(b))):
        yield b, expected * np.exp(drawn)


def _percentiles(replicates: Iterator[Curve], resampled: str) -> Intervals:
    rows = []
    for b, k in replicates:
        found = fit(b, k)
        rows.append((found.c1, found.c2, found.critical_batch_size, linear_limit(b, k)))
    low, high = np.quantile(rows, [TAIL, 1 - TAIL], axis=0, method="inverted_cdf").tolist()
    return Intervals(resampled, *zip(low, high, strict=True))
