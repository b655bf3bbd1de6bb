"""The curve fitted with one of its parameters held at given values: what tests and intervals are read from.

K* = (c1^a / B^a + c2^a)^(1/a) times log-normal noise; a = 1 is the theory's c1 / B + c2.

G held values    N checks    R replicates    P free parameters of the curve, beside sigma
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dps.analysis.fits.curve import Checks
from dps.analysis.fits.likelihood import Cells, cells

Floats = NDArray[np.float64]
LEAST_SIGMA = 0.01  # of log K*: below it, all curves through the check intervals would be equally likely
DEPTH = 300.0  # natural logarithms by which a coefficient may fall below the least B K* or the least K*
ROUNDS, TOLERANCE = 200, 1e-9


class Parameter(NamedTuple):
    """A direction in (log c1, log c2, log a), and those (P,) that stay free when it is held."""

    held: tuple[float, float, float]
    free: tuple[tuple[float, float, float], ...]


C1 = Parameter((1, 0, 0), ((0, 1, 0),))
C2 = Parameter((0, 1, 0), ((1, 0, 0),))
CRITICAL_BATCH_SIZE = Parameter((1, 0, 0), ((1, 1, 0),))
EXPONENT = Parameter((0, 0, 1), ((1, 0, 0), (0, 1, 0)))


class Profile(NamedTuple):
    """The most likely curve for each held value: coefficients (G, 3), sigma (G,), log likelihood (G,), checks (G, N).

    `slope` (G, N) is d log K* / d parameter, `free_slopes` (G, N, P) those along the free ones.
    """

    coefficients: Floats
    sigma: Floats
    log_likelihood: Floats
    cells: Cells
    slope: Floats
    free_slopes: Floats

    def arrays(self) -> list[Floats]:
        """All arrays, whose first axis is that of the held values."""
        return [self.coefficients, self.sigma, self.log_likelihood, *self.cells, self.slope, self.free_slopes]

    def at(self, rows: NDArray[np.int64]) -> Profile:
        """For some of the held values alone."""
        return Profile(
            self.coefficients[rows],
            self.sigma[rows],
            self.log_likelihood[rows],
            Cells(*(item[rows] for item in self.cells)),
            self.slope[rows],
            self.free_slopes[rows],
        )


def profile(checks: Checks, parameter: Parameter, values: ArrayLike) -> Profile:
    """The most likely curve and sigma for each of the held `values` (G,), logarithms; by damped Newton steps."""
    values = np.asarray(values, float)
    held, free = np.array(parameter.held), np.array(parameter.free)
    count, size = len(values), len(checks.log_low)
    least = np.array([(checks.log_high + checks.log_batch_size).min(), checks.log_high.min(), 0])
    start = (least - values[:, None] * held) @ np.linalg.pinv(free)
    place = np.concatenate([start, np.zeros((count, 1))], axis=1)  # free parameters, then log sigma
    floor = np.r_[free @ least - DEPTH, np.log(LEAST_SIGMA)]
    found = _evaluate(checks, held, free, values, place)
    damping, active = np.full(count, 1e-3), np.ones(count, bool)
    for _ in range(ROUNDS):
        rows = np.flatnonzero(active)
        part = found.at(rows)
        tried = np.clip(place[rows] + _step(part, damping[rows]), floor, None)
        at_tried = _evaluate(checks, held, free, values[rows], tried)
        gain = at_tried.log_likelihood - part.log_likelihood
        better = gain >= 0
        for whole, new in zip(found.arrays(), at_tried.arrays(), strict=True):
            whole[rows[better]] = new[better]
        place[rows[better]] = tried[better]
        damping[rows] = np.where(better, damping[rows] / 10, damping[rows] * 10)
        active[rows] = ~((better & (gain < TOLERANCE * size)) | (damping[rows] > 1e10))
        if not active.any():
            break
    return found


def _evaluate(checks: Checks, held: Floats, free: Floats, values: Floats, place: Floats) -> Profile:
    coefficients = values[:, None] * held + place[:, :-1] @ free
    log_c1, log_c2, log_a = coefficients.T[:, :, None]
    a = np.exp(log_a)
    first, second = log_c1 - checks.log_batch_size, np.broadcast_to(log_c2, (len(values), len(checks.log_low)))
    mean = np.logaddexp(a * first, a * second) / a
    linear, constant = np.exp(a * (first - mean)), np.exp(a * (second - mean))  # their shares of K*^a
    slopes = np.stack([linear, constant, linear * first + constant * second - mean], axis=-1)  # (G, N, 3)
    sigma = np.exp(place[:, -1])
    at = cells(checks.log_low, checks.log_high, mean, sigma[:, None])
    return Profile(coefficients, sigma, at.log_probability.sum(axis=1), at, slopes @ held, slopes @ free.T)


def _step(at: Profile, damping: Floats) -> Floats:
    """Newton steps (G, P + 1), those of the curve and of sigma apart: at the optimum neither depends on the other."""
    z, weight = at.cells.first, np.clip(at.cells.information, 1e-6, 1)
    slopes = at.free_slopes / at.sigma[:, None, None]
    gradient = np.einsum("gn,gnp->gp", z, slopes)
    curvature = np.einsum("gn,gnp,gnq->gpq", weight, slopes, slopes)
    diagonal = np.einsum("gpp->gp", curvature)
    diagonal += damping[:, None] * diagonal + 1e-12
    step = np.linalg.solve(curvature, gradient[:, :, None])[:, :, 0]
    spread = np.sum(2 * at.cells.second * weight, axis=1) * (1 + damping) + 1e-9
    of_sigma = np.sum(at.cells.second - 1, axis=1) / spread
    return np.concatenate([np.clip(step, -3, 3), np.clip(of_sigma, -1, 1)[:, None]], axis=1)
