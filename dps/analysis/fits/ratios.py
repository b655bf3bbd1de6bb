"""What two curves of K* have to each other: the ratios of their c1 and of their critical batch sizes, with intervals.

Both are given at the same replicates and batch sizes, as in_common cuts them, so that what a replicate or a batch size
adds to both leaves their ratio as it is.

G held values    R replicates of both curves
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from dps.analysis.fits.curve import Curve
from dps.analysis.fits.estimate import Estimate
from dps.analysis.fits.fit import log_estimate, most_likely
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
    """From the differences between replicates, where two or more have batch sizes enough, else from one likelihood."""
    replicates = comparable(own, parameter)
    return _paired(own, other, parameter, replicates) if len(replicates) > 1 else _of_one(own, other, parameter)


def _of_one(own: Curve, other: Curve, parameter: Parameter) -> tuple[float, float]:
    """From the likelihood of both curves together, as if all of it were one replicate."""
    curves = own, other
    middles = [log_estimate(curve, parameter) for curve in curves]
    first, second = (scores(c, parameter, held_about(x), c.replicates) for c, x in zip(curves, middles, strict=True))
    values = held_about(middles[0] - middles[1])
    best = np.array([_best_pair(first, second, ratio)[1] for ratio in values])
    count = sum(len(curve.checks().replicate) for curve in curves)
    low, high = ends(values, signed_likelihood(best, count, 2 * (1 + len(parameter.free))))
    return math.exp(low), math.exp(high)


def _paired(own: Curve, other: Curve, parameter: Parameter, replicates: NDArray[np.int64]) -> tuple[float, float]:
    curves = own, other
    middles = [log_estimate(curve, parameter) for curve in curves]
    first, second = (scores(c, parameter, held_about(x), replicates) for c, x in zip(curves, middles, strict=True))
    values = held_about(middles[0] - middles[1])
    low, high = ends(values, signed_scores(*_differences(first, second, values)))
    return math.exp(low), math.exp(high)


def _differences(first: Scores, second: Scores, values: Floats) -> tuple[Floats, Floats]:
    """The score and the information (R, G) of the log ratio in each replicate, at the most likely pair of curves."""
    rows = []
    for ratio in values:
        y, _ = _best_pair(first, second, ratio)
        (a, a_information), (b, b_information) = first.at(y + ratio), second.at(y)
        in_a, in_b = a_information.sum(), b_information.sum()
        a_share, b_share = in_b / (in_a + in_b), in_a / (in_a + in_b)
        rows.append((a_share * a - b_share * b, a_share**2 * a_information + b_share**2 * b_information))
    found, information = zip(*rows, strict=True)
    return np.concatenate(found, axis=1), np.concatenate(information, axis=1)


def _best_pair(first: Scores, second: Scores, ratio: float) -> tuple[Floats, float]:
    """The most likely value (1,) of the second curve, where the first has `ratio` more, and the log likelihood."""
    held = np.sort(np.concatenate([second.values, first.values - ratio]))
    held = held[(held >= second.values[0]) & (held <= second.values[-1])]
    total = first.log_likelihood_at(held + ratio) + second.log_likelihood_at(held)
    return held[[total.argmax()]], float(total.max())
