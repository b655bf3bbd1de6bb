"""What two curves of K* have to each other: the ratios of their c1 and of their critical batch sizes, with intervals.

G held values    R replicates of both curves
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from dps.analysis.fits.curve import Curve
from dps.analysis.fits.estimate import Estimate
from dps.analysis.fits.fit import ends_of, log_estimate, most_likely
from dps.analysis.fits.intervals import (
    Scores,
    comparable,
    ends,
    held_about,
    scores,
    signed_likelihood,
    signed_scores,
)
from dps.analysis.fits.profile import C1, CRITICAL_BATCH_SIZE, Parameter

Floats = NDArray[np.float64]


def c1_ratio(own: Curve, other: Curve) -> Estimate:
    """c1 of one curve over c1 of the other; ValueError where either has fewer than three batch sizes."""
    (first, _, _), (second, _, _) = most_likely(own), most_likely(other)
    return Estimate(_quotient(first, second), *_ends(own, other, C1))


def critical_ratio(own: Curve, other: Curve) -> Estimate:
    """Critical batch size of one curve over that of the other; ValueError where either has too few batch sizes.

    nan or infinite where one of the two curves does not level off; the interval may still have an end.
    """
    first, second = (_quotient(c1, c2) for c1, c2, _ in (most_likely(own), most_likely(other)))
    return Estimate(_quotient(first, second), *_ends(own, other, CRITICAL_BATCH_SIZE))


def _quotient(above: float, below: float) -> float:
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(np.divide(above, below))


def _ends(own: Curve, other: Curve, parameter: Parameter) -> tuple[float, float]:
    """From the differences between replicates with the same split and order where there are two such, else apart."""
    replicates = comparable(own, parameter), comparable(other, parameter)
    common = np.intersect1d(*replicates)
    if len(common) > 1:
        return _paired(own, other, parameter, common)
    if max(map(len, replicates)) == 1:
        return _of_one(own, other, parameter)
    return _apart(own, other, parameter)


def _of_one(own: Curve, other: Curve, parameter: Parameter) -> tuple[float, float]:
    """From the likelihood of both curves together, with one replicate of each."""
    curves = own, other
    middles = [log_estimate(curve, parameter) for curve in curves]
    first, second = (scores(c, parameter, held_about(x), c.replicates) for c, x in zip(curves, middles, strict=True))
    values = held_about(middles[0] - middles[1])
    best = np.array([_best_pair(first, second, ratio)[1] for ratio in values])
    count = sum(len(curve.checks().replicate) for curve in curves)
    low, high = ends(values, signed_likelihood(best, count, 2 * (1 + len(parameter.free))))
    return math.exp(low), math.exp(high)


def _apart(own: Curve, other: Curve, parameter: Parameter) -> tuple[float, float]:
    """From the two intervals, whose distances to the estimates add in squares (Zou and Donner, 2008)."""
    x, y = log_estimate(own, parameter), log_estimate(other, parameter)
    with np.errstate(divide="ignore"):
        (x_low, x_high), (y_low, y_high) = (np.log(ends_of(curve, parameter)) for curve in (own, other))
    low, high = x - y - math.hypot(x - x_low, y_high - y), x - y + math.hypot(x_high - x, y - y_low)
    return math.exp(low), math.exp(high)


def _paired(own: Curve, other: Curve, parameter: Parameter, common: NDArray[np.int64]) -> tuple[float, float]:
    curves = own.of_replicates(common), other.of_replicates(common)
    middles = [log_estimate(curve, parameter) for curve in curves]
    first, second = (scores(c, parameter, held_about(x), common) for c, x in zip(curves, middles, strict=True))
    values = held_about(middles[0] - middles[1])
    low, high = ends(values, signed_scores(_differences(first, second, values)))
    return math.exp(low), math.exp(high)


def _differences(first: Scores, second: Scores, values: Floats) -> Floats:
    """The score (R, G) of the log ratio of the two curves in each replicate, at the most likely pair of curves."""
    rows = []
    for ratio in values:
        y, _ = _best_pair(first, second, ratio)
        (a, a_information), (b, b_information) = first.at(y + ratio), second.at(y)
        rows.append((b_information * a - a_information * b) / (a_information + b_information))
    return np.concatenate(rows, axis=1)


def _best_pair(first: Scores, second: Scores, ratio: float) -> tuple[Floats, float]:
    """The most likely value (1,) of the second curve, where the first has `ratio` more, and the log likelihood."""
    held = np.sort(np.concatenate([second.values, first.values - ratio]))
    held = held[(held >= second.values[0]) & (held <= second.values[-1])]
    total = first.log_likelihood_at(held + ratio) + second.log_likelihood_at(held)
    return held[[total.argmax()]], float(total.max())
