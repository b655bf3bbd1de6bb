"""K* against the batch size as the theory has it, and how sure one can be of it.

K* = c1 / B + c2 (paper, Proposition 3.1 and Eq. 6), with c1 = Delta L beta / (mu^2 eps^2) and c2 = Delta / (lr mu eps).

N trials of a study    M batch sizes

The trials of a study come as two arrays, `low` and `high` (N,), between which each trial's steps to the goal lie: equal
for a complete trial, both infinite for one that never reaches it, and from the step after its last to infinity for one
that the race has censored. K* of any set of trials grows with each of them, so that it is known exactly where `low` and
`high` give the same; where they do not, it is nan.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
REPLICATES = 400
NEGLIGIBLE = 1e-6  # a coefficient that adds less than this fraction to the least K* is not there


@dataclass(frozen=True)
class Fit:
    """K* = c1 / B + c2: c1 >= 0 in steps x examples, c2 >= 0 in steps."""

    c1: float
    c2: float

    @property
    def critical_batch_size(self) -> float:
        """c1 / c2 in examples, where both terms are equal; infinite where no levelling off is seen."""
        return self.c1 / self.c2 if self.c2 > 0 else math.inf

    def steps(self, batch_sizes: ArrayLike) -> Floats:
        """K* at the batch sizes, in steps."""
        return self.c1 / np.asarray(batch_sizes, float) + self.c2


def fit(batch_sizes: ArrayLike, steps: ArrayLike) -> Fit:
    """Least squares of log K* over c1, c2 > 0; `batch_sizes` and `steps` (M,) are positive, the steps finite.

    A coefficient that tends to zero comes back as zero. ValueError with fewer than three batch sizes.
    """
    from scipy.optimize import least_squares, nnls

    b, k = np.asarray(batch_sizes, float), np.asarray(steps, float)
    if (count := len(np.unique(b))) < 3:
        raise ValueError(f"K* is known at {count} batch sizes, and c1 / B + c2 needs at least 3")
    terms = np.stack([1 / b, np.ones_like(b)], axis=1)
    smallest = np.array([(b * k).min(), k.min()])
    start, _ = nnls(terms / k[:, None], np.ones_like(k))  # relative errors: near the answer, and the same where exact

    def residuals(log_c: Floats) -> Floats:
        return np.log(terms @ np.exp(log_c)) - np.log(k)

    def jacobian(log_c: Floats) -> Floats:
        parts = terms * np.exp(log_c)
        return parts / parts.sum(axis=1, keepdims=True)

    bounds = np.log(1e-10 * smallest), np.full(2, np.inf)
    log_start = np.log(np.maximum(start, 0.01 * smallest))
    found = least_squares(residuals, log_start, jacobian, bounds, xtol=1e-12, ftol=1e-12, gtol=1e-12)
    c1, c2 = np.where(np.exp(found.x) > NEGLIGIBLE * smallest, np.exp(found.x), 0.0).tolist()
    return Fit(c1, c2)


def linear_limit(batch_sizes: ArrayLike, steps: ArrayLike, tolerance: float = 0.2) -> float:
    """The largest batch size up to which K* exceeds linear scaling from the smallest one by at most `tolerance`.

    All measured batch sizes below it do so too; the smallest itself where none does.
    """
    b, k = np.asarray(batch_sizes, float), np.asarray(steps, float)
    order = np.argsort(b)
    b, k = b[order], k[order]
    linear = b * k <= (1 + tolerance) * b[0] * k[0] * (1 + 1e-12)
    return float(b[np.cumprod(linear).astype(bool)][-1])


def delta(train_losses: ArrayLike) -> float:
    """Delta = 2 (f(w_1) - f_inf), with the lowest training loss of the run for f_inf (Proposition 3.1).

    `train_losses` are means over the training set in the order of the steps, the first before any step.
    """
    losses = np.asarray(train_losses, float)
    return float(2 * (losses[0] - np.nanmin(losses)))


def predicted_c1_ratio(sparse: Sequence[float], dense: Sequence[float]) -> float:
    """c1 of the sparse over c1 of the dense network, each given as (Delta, L, beta) (Appendix C)."""
    return float(np.prod(np.divide(sparse, dense)))


def steps_interval(low: ArrayLike, high: ArrayLike, level: float = 0.95) -> tuple[float, float]:
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
    if trials is not None and len(b) >= 3:
        return _percentiles(_draw_trials(b, [np.asarray(row, float) for row in trials], generator), "trials")
    if trials is None and len(b) >= 4:
        return _percentiles(_draw_residuals(b, k, generator), "residuals")
    return Intervals("", *[(math.nan, math.nan)] * 4)


def _draw_trials(b: Floats, trials: Sequence[Floats], generator: np.random.Generator) -> Iterator[Curve]:
    drawn = np.stack([generator.choice(row, (REPLICATES, len(row))).min(axis=1) for row in trials], axis=1)
    for k in drawn:
        known = np.isfinite(k)
        if known.sum() >= 3:
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
    low, high = np.quantile(rows, [0.025, 0.975], axis=0, method="inverted_cdf").tolist()
    return Intervals(resampled, *zip(low, high, strict=True))
