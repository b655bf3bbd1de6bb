"""Curves of K* with known constants.

R replicates    M batch sizes
"""

import numpy as np
from numpy.typing import ArrayLike

from dps.analysis.fits.curve import Curve

INTERVAL = 16.0  # steps


def curve(batch_sizes: ArrayLike, steps: ArrayLike, interval_steps: ArrayLike = INTERVAL) -> Curve:
    """K* (M,) or (R, M) as it is."""
    k = np.atleast_2d(np.asarray(steps, float))
    return Curve(np.asarray(batch_sizes, float), k, np.broadcast_to(interval_steps, k.shape), np.arange(len(k)))


def narrow(batch_sizes: ArrayLike, steps: ArrayLike) -> Curve:
    """K* that is known to a millionth."""
    k = np.asarray(steps, float)
    return curve(batch_sizes, k * (1 + 5e-7), k * 1e-6)


def noisy(
    generator: np.random.Generator,
    batch_sizes: ArrayLike,
    replicates: int,
    coefficients: tuple[float, float],
    sigma: float,
    shared: float | np.ndarray = 0.0,
) -> Curve:
    """c1 / B + c2 with log-normal noise, and `shared` (R, 1) in all of a replicate, rounded up to the next check."""
    b = np.asarray(batch_sizes, float)
    expected = coefficients[0] / b + coefficients[1]
    k = expected * np.exp(sigma * generator.standard_normal((replicates, len(b))) + shared)
    return curve(b, np.ceil(k / INTERVAL) * INTERVAL)
