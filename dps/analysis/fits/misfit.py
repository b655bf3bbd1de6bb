"""Whether K* = c1 / B + c2 is the right curve: its lack of fit, and the wider family that it belongs to.

R replicates    M batch sizes
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from dps.analysis.fits.curve import Checks, Curve
from dps.analysis.fits.estimate import Estimate
from dps.analysis.fits.intervals import comparable, interval
from dps.analysis.fits.profile import CRITICAL_BATCH_SIZE, EXPONENT, Profile, profile
from dps.analysis.theory import LEAST_BATCH_SIZES

Floats = NDArray[np.float64]
LEAST_FOR_EXPONENT = 5  # batch sizes
EXPONENTS = np.linspace(-math.log(8), math.log(8), 49)  # natural logarithms, the theory's 1 in the middle


def misfit(curve: Curve) -> float:
    """The p-value of c1 / B + c2, against any other curve where there are replicates, else against its wider family.

    nan with fewer than three batch sizes, or five with one replicate: with four it could hardly be small.
    """
    if len(curve.known()) < LEAST_BATCH_SIZES:
        return math.nan
    checks = curve.checks()
    if len(comparable(curve, CRITICAL_BATCH_SIZE)) > 1:
        return _lack_of_fit(profile(checks, EXPONENT, [0.0]), checks)
    return _against_the_family(checks)


def _lack_of_fit(found: Profile, checks: Checks) -> float:
    """The F test of batch sizes beyond the curve, over what is left beside a level for each replicate."""
    from scipy.stats import f

    root = np.sqrt(np.clip(found.cells.information[0], 1e-6, 1))
    left = found.cells.first[0] / root
    replicates = np.eye(checks.replicate.max() + 1)[checks.replicate] * root[:, None]
    curve = np.concatenate([found.free_slopes[0] * root[:, None], replicates], axis=1)
    batch_sizes = np.concatenate([np.eye(checks.column.max() + 1)[checks.column] * root[:, None], replicates], axis=1)
    (unexplained, of_curve), (pure, of_batch_sizes) = _residual(curve, left), _residual(batch_sizes, left)
    lacking, free = of_batch_sizes - of_curve, len(left) - of_batch_sizes
    if lacking < 1 or free < 1:
        return math.nan
    return float(f.sf((unexplained - pure) / lacking / (max(pure, 1e-12) / free), lacking, free))


def _residual(terms: Floats, left: Floats) -> tuple[float, int]:
    """The sum of squares that the terms (N, T) leave, and their rank."""
    solution, _, rank, _ = np.linalg.lstsq(terms, left, rcond=1e-9)
    return float(np.sum((left - terms @ solution) ** 2)), int(rank)


def _against_the_family(checks: Checks) -> float:
    from scipy.stats import f

    count = len(checks.replicate)
    if count < LEAST_FOR_EXPONENT:
        return math.nan
    log_likelihood = profile(checks, EXPONENT, EXPONENTS).log_likelihood
    deviance = 2 * (log_likelihood.max() - log_likelihood[len(EXPONENTS) // 2])
    return float(f.sf(math.expm1(deviance / count) * (count - 3), 1, count - 3))


def exponent(curve: Curve) -> Estimate:
    """a of K* = (c1^a / B^a + c2^a)^(1/a), at which the curve bends the more sharply the larger a is.

    a is looked for from 1/8 to 8; an end beyond is zero or infinite. nan where neither end is known, and with fewer
    than five batch sizes.
    """
    if len(curve.known()) < LEAST_FOR_EXPONENT:
        return Estimate(math.nan)
    middle = _most_likely(curve.checks())
    about = middle + np.linspace(-1, 1, 2 * len(EXPONENTS) - 1) * (EXPONENTS[-1] - EXPONENTS[0])
    low, high = interval(curve, EXPONENT, np.clip(about, EXPONENTS[0], EXPONENTS[-1]))
    if not (math.isfinite(low) or math.isfinite(high)):
        return Estimate(math.nan)
    return Estimate(math.exp(middle), math.exp(low), math.exp(high))


def _most_likely(checks: Checks) -> float:
    """log a, first among EXPONENTS and then between its neighbours."""
    values = EXPONENTS
    for _ in range(2):
        best = values[profile(checks, EXPONENT, values).log_likelihood.argmax()]
        values = np.clip(best + np.linspace(-1, 1, 25) * (EXPONENTS[1] - EXPONENTS[0]), EXPONENTS[0], EXPONENTS[-1])
    return float(best)
