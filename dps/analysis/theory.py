"""K* against the batch size as the theory has it.

K* = c1 / B + c2 (paper, Proposition 3.1 and Eq. 6), with c1 = Delta L beta / (mu^2 eps^2) and c2 = Delta / (lr mu eps).

M batch sizes
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
NEGLIGIBLE = 1e-6  # a coefficient that adds less than this fraction to the least K* is not there
LEAST_BATCH_SIZES = 3  # that give a fit


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
    if (count := len(np.unique(b))) < LEAST_BATCH_SIZES:
        raise ValueError(f"K* is known at {count} batch sizes, and c1 / B + c2 needs at least {LEAST_BATCH_SIZES}")
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
