"""K* = c1 / B + c2 fitted to a curve (paper, Proposition 3.1 and Eq. 6), with 95% intervals.

K* is known to lie between two checks of the goal, and log K* is normal about the curve.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dps.analysis.fits.curve import Checks, Curve
from dps.analysis.fits.estimate import Estimate
from dps.analysis.fits.intervals import comparable, held_about, interval
from dps.analysis.fits.profile import C1, C2, CRITICAL_BATCH_SIZE, EXPONENT, Parameter, profile
from dps.analysis.theory import LEAST_BATCH_SIZES

Floats = NDArray[np.float64]
NEGLIGIBLE = 1e-6  # a coefficient that adds less than this fraction to the least K* is not there
BEYOND = 3.0  # natural logarithms beyond the data, where an estimate that the data do not bound is taken to be
LOGS_IN = {C1: (1.0, 0.0), C2: (0.0, 1.0), CRITICAL_BATCH_SIZE: (1.0, -1.0)}  # of c1 and c2


@dataclass(frozen=True)
class Fit:
    """K* = c1 / B + c2: c1 in steps x examples, c2 in steps, c1 / c2 in examples, all >= 0; sigma of log K*.

    `interval` says where the intervals are from: "replicates", or "profile" of the likelihood of a single one.
    """

    c1: Estimate
    c2: Estimate
    critical_batch_size: Estimate
    sigma: float
    interval: str


def fit(curve: Curve) -> Fit:
    """The most likely c1, c2 and sigma; a coefficient that tends to zero is zero, and c1 / c2 then infinite or zero.

    sigma allows for the two coefficients. ValueError with fewer than three batch sizes.
    """
    c1, c2, sigma = most_likely(curve)
    count = len(curve.checks().replicate)
    return Fit(
        Estimate(c1, *ends_of(curve, C1)),
        Estimate(c2, *ends_of(curve, C2)),
        Estimate(c1 / c2 if c2 else math.inf, *ends_of(curve, CRITICAL_BATCH_SIZE)),
        sigma * math.sqrt(count / (count - 2)),
        "replicates" if len(comparable(curve, CRITICAL_BATCH_SIZE)) > 1 else "profile",
    )


def most_likely(curve: Curve) -> tuple[float, float, float]:
    """c1, c2 and sigma; ValueError with fewer than three batch sizes."""
    if (count := len(curve.known())) < LEAST_BATCH_SIZES:
        raise ValueError(f"K* is known at {count} batch sizes, and c1 / B + c2 needs at least {LEAST_BATCH_SIZES}")
    checks = curve.checks()
    best = profile(checks, EXPONENT, [0.0])
    logs = best.coefficients[0, :2]
    c1, c2 = np.where(logs > _least(checks) + math.log(NEGLIGIBLE), np.exp(logs), 0.0).tolist()
    return c1, c2, float(best.sigma[0])


def log_estimate(curve: Curve, parameter: Parameter) -> float:
    """The most likely value of c1, c2 or c1 / c2, as a natural logarithm, not far beyond what the data can tell."""
    checks = curve.checks()
    logs = np.maximum(profile(checks, EXPONENT, [0.0]).coefficients[0, :2], _least(checks) - BEYOND)
    return float(logs @ LOGS_IN[parameter])


def ends_of(curve: Curve, parameter: Parameter) -> tuple[float, float]:
    """The interval of c1, c2 or c1 / c2: from zero, or to infinity, where the data set no bound."""
    low, high = interval(curve, parameter, held_about(log_estimate(curve, parameter)))
    return math.exp(low), math.exp(high)


def _least(checks: Checks) -> Floats:
    """The least B K* and the least K*, which c1 and c2 cannot be far above, as natural logarithms."""
    return np.array([(checks.log_high + checks.log_batch_size).min(), checks.log_high.min()])
