"""How likely it is that log K*, normal about a curve, falls between two checks of the goal.

G curves    N checks
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class Cells(NamedTuple):
    """Of z = (log K* - mean) / sigma in its check interval: all (G, N).

    `first` is E z and `information` 1 - Var z: what the interval tells of the mean, 1 where it is narrow.
    """

    log_probability: Floats
    first: Floats
    second: Floats
    information: Floats


def cells(log_low: Floats, log_high: Floats, mean: Floats, sigma: Floats) -> Cells:
    """The checks (N,) under means (G, N) and standard deviations (G, 1) of log K*."""
    low, high = (log_low - mean) / sigma, (log_high - mean) / sigma
    log_probability = _log_probability(low, high)
    at_low, at_high = (np.exp(-0.5 * (z**2 + math.log(2 * math.pi)) - log_probability) for z in (low, high))
    first = at_low - at_high
    second = 1 + low * at_low - high * at_high
    return Cells(log_probability, first, second, np.clip(1 - (second - first**2), 0, 1))


def _log_probability(low: Floats, high: Floats) -> Floats:
    """log (Phi(high) - Phi(low)), taken in the left tail, where it does not cancel."""
    from scipy.special import log_ndtr

    mirrored = low > 0
    low, high = np.where(mirrored, -high, low), np.where(mirrored, -low, high)
    top = log_ndtr(high)
    result: Floats = top + np.log(-np.expm1(np.minimum(log_ndtr(low) - top, -1e-300)))
    return result
