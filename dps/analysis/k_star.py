"""K* of one study: of its trials drawn again, of fewer of them, and where the race has censored some.

The N trials come as two arrays, `low` and `high` (N,), between which each trial's steps to the goal lie: equal for a
complete trial, both infinite for one that never reaches it, and from the step after its last to infinity for one that
the race has censored. K* of any set of trials grows with each of them, so that it is known exactly where `low` and
`high` give the same; where they do not, it is nan.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
LEVEL = 0.95  # of all intervals


def bounds(trials: pd.DataFrame) -> tuple[Floats, Floats]:
    """`low` and `high` (N,) in steps of a frame of trials, as records.read has them."""
    high = trials["steps_to_result"].astype("float64").fillna(math.inf).to_numpy()
    censored = (trials["status"] == "censored").to_numpy()
    return np.where(censored, trials["steps_run"].astype("float64").fillna(0).to_numpy() + 1, high), high


def steps_interval(low: ArrayLike, high: ArrayLike, level: float = LEVEL) -> tuple[float, float]:
    """Percentile interval of K* when the N trials are drawn again with replacement, from its exact distribution.

    P(K* > k) = (share of trials with more than k steps)^N. An end is infinite where the goal is not reached, and nan
    where it hangs on a censored trial.
    """
    ends = []
    for probability in ((1 - level) / 2, (1 + level) / 2):
        least, most = (_minimum_quantile(np.asarray(steps, float), probability) for steps in (low, high))
        ends.append(least if least == most else math.nan)
    return ends[0], ends[1]


def _minimum_quantile(steps: Floats, probability: float) -> float:
    count = len(steps)
    reached = 1 - ((count - np.arange(1, count + 1)) / count) ** count
    return float(np.sort(steps)[np.searchsorted(reached, probability)])


def budget_distribution(low: ArrayLike, high: ArrayLike, budget: int) -> dict[float, float]:
    """P(K* = k) over all subsets of `budget` of the N trials, for every k that they can decide (inf: goal not reached).

    What is missing from a sum of 1 is the share of the subsets whose K* hangs on a censored trial. Exact: the subsets
    with K* = k are those without a trial that may be faster, less those in which none is certain to take k.
    """
    low, high = np.asarray(low, float), np.asarray(high, float)
    _check_budget(budget, len(low))
    subsets = math.comb(len(low), budget)
    shares = {}
    for k in np.unique(high).tolist():
        not_faster = low >= k
        without_k = math.comb(int((not_faster & (high != k)).sum()), budget)
        share = (math.comb(int(not_faster.sum()), budget) - without_k) / subsets
        if share > 0:
            shares[k] = share
    return shares


def first_trials(low: ArrayLike, high: ArrayLike, budget: int) -> float:
    """K* of the first `budget` trials, which are those of a shorter Sobol sequence; nan where a censored one decides.

    Infinite where none of them reaches the goal.
    """
    low, high = np.asarray(low, float), np.asarray(high, float)
    _check_budget(budget, len(low))
    least, most = low[:budget].min(), high[:budget].min()
    return float(most) if least == most else math.nan


def _check_budget(budget: int, trials: int) -> None:
    if not 1 <= budget <= trials:
        raise ValueError(f"a budget of {budget} trials must be from 1 to the study's {trials}")
