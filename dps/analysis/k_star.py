"""K* of one study: of searches such as its own, of fewer of its trials, and where the race has censored some.

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
BEST_OF = (5, 10, 25)  # trials of a search


def bounds(trials: pd.DataFrame) -> tuple[Floats, Floats]:
    """`low` and `high` (N,) in steps of a frame of trials, as records.read has them."""
    high = trials["steps_to_result"].astype("float64").fillna(math.inf).to_numpy()
    censored = (trials["status"] == "censored").to_numpy()
    return np.where(censored, trials["steps_run"].astype("float64").fillna(0).to_numpy() + 1, high), high


def best_of(low: ArrayLike, high: ArrayLike, trials: int, level: float = LEVEL) -> tuple[float, float, float]:
    """The median of K* over searches of `trials` trials such as these N, and its interval, in steps.

    The median of the least of m trials' steps is the quantile p = 1 - 2^(-1/m) of one trial's. The number of the N
    trials that lie below it is binomial (N, p), so that two of them in their order enclose it with the probability
    `level` at least, whatever the distribution is. nan where a rank is not known, since a censored trial may have it,
    the goal is not reached so often, or no trial has it; everything is nan unless m < N.
    """
    from scipy.stats import binom

    count = len(np.asarray(low))
    if trials >= count:
        return math.nan, math.nan, math.nan
    p, tail = 1 - 2 ** (-1 / trials), (1 - level) / 2
    ranks = math.ceil(count * p), binom.ppf(tail, count, p), binom.ppf(1 - tail, count, p) + 1
    middle, first, last = (_in_order(low, high, int(rank)) for rank in ranks)
    return middle, first, last


def _in_order(low: ArrayLike, high: ArrayLike, rank: int) -> float:
    """The steps of the trial of this rank, from 1; nan where they are not known, or there is no such trial."""
    if not 1 <= rank <= len(np.asarray(low)):
        return math.nan
    least, most = (np.sort(np.asarray(steps, float))[rank - 1] for steps in (low, high))
    return float(least) if least == most and math.isfinite(least) else math.nan


def checked_every(low: ArrayLike, high: ArrayLike, interval_steps: int, times: int) -> tuple[Floats, Floats]:
    """`low` and `high` had the goal been checked only every `times` intervals.

    A trial that reached the goal at one of those checks reaches it there. Of any other it is known that it does not
    before the next of them, since it was trained no further.
    """
    low, high = np.asarray(low, float), np.asarray(high, float)
    every = times * interval_steps
    return np.ceil(low / every) * every, np.where(np.ceil(high / every) * every == high, high, math.inf)


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
