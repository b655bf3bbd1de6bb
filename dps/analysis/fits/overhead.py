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
from dps.analysis.k_star import LEVEL

Floats = NDArray[np.float64]
OVERHEAD = 0.2
POINTS = 512  # between the smallest and the largest batch size


def critical_at_overhead(curve: Curve, sigma: float) -> Estimate:
    """The first batch size at which K* B is 20% above that of the smallest, log K* interpolated over log B.

    Infinite where the largest is not that far above. The interval reaches over all at which the overhead does not
    differ significantly from 20%. One log K* varies as the replicates show, beside a level that each has for itself;
    with one replicate by `sigma`, that of the fit, with M - 2 degrees of freedom. K* counts as in the middle of its
    check interval, and a batch size where it is known in all replicates.
    """
    from scipy.stats import t

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
    noise, degrees = (sigma, len(b) - 2) if len(log_examples) == 1 else _between_replicates(log_examples)
    if degrees < 1 or math.isnan(noise):
        return Estimate(value)
    error = noise * np.sqrt((weights**2).sum(axis=1) / len(log_examples))
    bound = error * t.ppf((1 + LEVEL) / 2, degrees)
    low = _first_at(asked, beyond + bound >= 0)
    high = math.inf if beyond[-1] < bound[-1] else float(np.exp(asked[np.flatnonzero(beyond < bound)[-1]]))
    return Estimate(value, low, high)


def _between_replicates(log_examples: Floats) -> tuple[float, int]:
    """The standard deviation of one value (R, M) beside the levels of its replicate and its batch size."""
    left = log_examples - log_examples.mean(axis=0) - log_examples.mean(axis=1, keepdims=True) + log_examples.mean()
    degrees = (left.shape[0] - 1) * (left.shape[1] - 1)
    return math.sqrt(float((left**2).sum()) / degrees), degrees


def _first_at(asked: Floats, reached: NDArray[np.bool_]) -> float:
    return float(np.exp(asked[reached.argmax()])) if reached.any() else math.inf
