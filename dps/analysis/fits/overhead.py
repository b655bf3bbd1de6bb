"""The batch size up to which data parallelism costs at most 20% more examples, read from K* without the fit.

K* B is the number of examples to the goal. Where K* = c1 / B + c2, it exceeds c1, its limit at small batch sizes, by
20% at 0.2 c1 / c2 (arXiv:2410.21676). Here the smallest batch size measured stands for that limit.

R replicates    M batch sizes    G batch sizes in question
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from dps.analysis.fits.curve import Curve
from dps.analysis.fits.estimate import Estimate
from dps.analysis.fits.fit import Fit
from dps.analysis.k_star import LEVEL

Floats = NDArray[np.float64]
OVERHEAD = 0.2
POINTS = 512  # between the smallest and the largest batch size
NODES = 40  # over which a distribution is averaged


def critical_at_overhead(curve: Curve, fitted: Fit) -> Estimate:
    """The first batch size at which K* B is 20% above that of the smallest, log K* interpolated over log B.

    Infinite where the largest is not that far above. The interval reaches over all at which the overhead does not
    differ significantly from 20%. One log K* varies as the replicates show, beside a level that each has for itself;
    with one replicate as about the `fitted` curve, with M - 2 degrees of freedom. K* counts as in the middle of its
    check interval, and a batch size where it is known in all replicates.
    """
    known = np.isfinite(curve.steps).all(axis=0)
    b = np.log(curve.batch_sizes[known])
    if len(b) < 2:
        return Estimate(math.nan)
    log_examples = np.log(curve.steps - curve.interval_steps / 2)[:, known] + b
    asked = np.linspace(b[0], b[-1], POINTS)
    weights = np.stack([np.interp(asked, b, row) for row in np.eye(len(b))], axis=1)  # (G, M)
    weights[:, 0] -= 1
    beyond = weights @ log_examples.mean(axis=0) - math.log(1 + OVERHEAD)
    value = _first_at(asked, beyond >= 0)
    if len(log_examples) == 1:
        noise, degrees, own = _about_fit(log_examples[0], weights, fitted, b)
    else:
        noise, degrees, own = *_between_replicates(log_examples), np.zeros(POINTS)
    if degrees < 1 or math.isnan(noise):
        return Estimate(value)
    error = noise * np.sqrt((weights**2).sum(axis=1) / len(log_examples))
    differs = _p_value(beyond / np.maximum(error, 1e-300), degrees, own) < 1 - LEVEL
    low = _first_at(asked, (beyond >= 0) | ~differs)
    high = np.flatnonzero((beyond < 0) | ~differs)[-1]
    return Estimate(value, low, math.inf if high == POINTS - 1 else float(np.exp(asked[high])))


def _about_fit(log_examples: Floats, weights: Floats, fitted: Fit, b: Floats) -> tuple[float, int, Floats]:
    """The standard deviation of one value (M,) about the fit, and what part of the sums' variance (G,) it has seen."""
    c1, c2 = fitted.c1.value, fitted.c2.value
    steps = c1 / np.exp(b) + c2
    constant = c2 / steps
    slopes = np.stack([1 - constant, constant], axis=1)  # of log K* along log c1 and log c2
    left = np.eye(len(b)) - slopes @ np.linalg.pinv(slopes)
    residual, degrees = left @ (log_examples - b - np.log(steps)), len(b) - 2
    own = ((weights @ left) ** 2).sum(axis=1) / np.maximum((weights**2).sum(axis=1), 1e-300)
    return math.sqrt(float((residual**2).sum()) / max(degrees, 1)), degrees, np.minimum(own, 1 - 1e-9)


def _p_value(t_ratio: Floats, degrees: int, own: Floats) -> Floats:
    """How often a sum over its estimated error is farther from zero (G,) than this, where nothing but noise is in it.

    The part `own` of its variance is in the residuals that the error was estimated from: the larger that part, the
    larger the error, so that the ratio has shorter tails than Student's t. In the space of the residuals, its
    direction is uniform on the sphere.
    """
    from scipy.stats import beta, t

    half = max((degrees - 1) / 2, 1e-6)
    along = 2 * beta.ppf((np.arange(NODES) + 0.5) / NODES, half, half) - 1
    beyond = np.abs(t_ratio)[:, None] - np.sqrt(own * degrees)[:, None] * along
    result: Floats = 2 * t.sf(beyond / np.sqrt(1 - own)[:, None], degrees).mean(axis=1)
    return result


def _between_replicates(log_examples: Floats) -> tuple[float, int]:
    """The standard deviation of one value (R, M) beside the levels of its replicate and its batch size."""
    left = log_examples - log_examples.mean(axis=0) - log_examples.mean(axis=1, keepdims=True) + log_examples.mean()
    degrees = (left.shape[0] - 1) * (left.shape[1] - 1)
    return math.sqrt(float((left**2).sum()) / degrees), degrees


def _first_at(asked: Floats, reached: NDArray[np.bool_]) -> float:
    return float(np.exp(asked[reached.argmax()])) if reached.any() else math.inf
