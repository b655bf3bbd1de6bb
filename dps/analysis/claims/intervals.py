"""Intervals of a typical value, on a log scale, of what was measured at several batch sizes and in several replicates.

Batch sizes of one replicate share its data split, its order and its Sobol points, so that with two replicates or more
the replicates are the independent units, and with one the batch sizes are.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from dps.analysis.k_star import LEVEL

Interval = tuple[float, float]


def middle_of_check(rows: pd.DataFrame, suffix: str = "") -> NDArray[np.float64]:
    """log K* (N,), with K* in the middle of the check interval at whose end it was seen."""
    steps, interval = (rows[f"{name}{suffix}"].to_numpy(float) for name in ("steps_to_result", "interval_steps"))
    return np.log(steps - interval / 2)


def t_interval(values: ArrayLike, level: float = LEVEL) -> Interval:
    """Student's interval of the mean of independent values; open where one is infinite, or there is only one."""
    from scipy.stats import t

    values = np.asarray(values, float)
    if len(values) < 2 or not np.isfinite(values).all():
        return -math.inf, math.inf
    half = float(t.ppf((1 + level) / 2, len(values) - 1)) * values.std(ddof=1) / math.sqrt(len(values))
    return float(values.mean() - half), float(values.mean() + half)


def least_values(level: float = LEVEL) -> int:
    """The least number of values of which two enclose their median with the probability `level`."""
    return next(count for count in itertools.count(1) if _rank(count, level) > 0)


def _rank(count: int, level: float) -> int:
    """The greatest rank, from 1, at which the value and its opposite enclose the median surely enough, or 0."""
    from scipy.stats import binom

    return int(binom.ppf((1 - level) / 2, count, 0.5))


def median_interval(values: ArrayLike, level: float = LEVEL) -> Interval:
    """The interval of a median between two values in their order, whatever their distribution is.

    Interpolated between the pair that encloses it too surely and the next one (Hettmansperger and Sheather, 1986); open
    where the least and the greatest value do not enclose it surely enough.
    """
    from scipy.stats import binom

    values = np.sort(np.asarray(values, float))
    count = len(values)
    rank = _rank(count, level)
    if rank < 1:
        return -math.inf, math.inf
    sure, less = (1 - 2 * float(binom.cdf(one - 1, count, 0.5)) for one in (rank, rank + 1))
    share = (sure - level) / (sure - less)
    inner = (count - rank) * share / (rank + (count - 2 * rank) * share)
    low = (1 - inner) * values[rank - 1] + inner * values[rank]
    high = (1 - inner) * values[count - rank] + inner * values[count - rank - 1]
    return float(low), float(high)


def typical(least: ArrayLike, most: ArrayLike, replicate: ArrayLike) -> tuple[float, float, float]:
    """The median of values (N,) of several batch sizes, of these replicates (N,), and its interval.

    Each value lies between its `least` and its `most`, which are equal where it is known. With two replicates or more
    the median is the mean of the replicates' medians, about which Student's interval lies: the widest of those that the
    unknown values allow, since an unknown median that is far from the others widens it at both ends. nan where unknown
    values move the median.
    """
    ends = pd.DataFrame({"least": np.asarray(least, float), "most": np.asarray(most, float)})
    medians = ends.groupby(np.asarray(replicate)).median()
    middle = float(medians["least"].mean()) if medians["least"].equals(medians["most"]) else math.nan
    if len(medians) == 1:
        return middle, median_interval(least)[0], median_interval(most)[1]
    possible = itertools.product(*({*both} for both in medians.to_numpy().tolist()))
    intervals = [t_interval(one) for one in possible]
    return middle, min(low for low, _ in intervals), max(high for _, high in intervals)
