"""95% intervals of what a curve of K* gives: between its replicates, or from the likelihood of the only one.

G held values    R replicates    N checks
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dps.analysis.fits.curve import Checks, Curve
from dps.analysis.fits.profile import Parameter, Profile, profile
from dps.analysis.k_star import LEVEL

Floats = NDArray[np.float64]
REACH, STEEPNESS, POINTS = 16.0, 7.0, 49  # of the held values about the estimate: dense at it, and far-reaching


class Scores(NamedTuple):
    """For held values (G,): the score and the information of each replicate (R, G), the log likelihood of all (G,)."""

    values: Floats
    scores: Floats
    information: Floats
    log_likelihood: Floats

    def at(self, values: Floats) -> tuple[Floats, Floats]:
        """The scores and the information (R, K) between the held values; beyond them, those of the last."""
        scores, information = (
            np.stack([np.interp(values, self.values, row) for row in rows]) for rows in (self.scores, self.information)
        )
        return scores, information

    def log_likelihood_at(self, values: Floats) -> Floats:
        """The log likelihood (K,) between the held values; beyond them, that of the last."""
        return np.interp(values, self.values, self.log_likelihood)


def held_about(estimate: float) -> Floats:
    """Values (G,) about an estimate, all as natural logarithms."""
    return estimate + REACH * np.sinh(STEEPNESS * np.linspace(-1, 1, POINTS)) / math.sinh(STEEPNESS)


def comparable(curve: Curve, parameter: Parameter) -> NDArray[np.int64]:
    """The replicates that have batch sizes enough to say something of the parameter, whatever the free ones are."""
    enough = np.isfinite(curve.steps).sum(axis=1) > len(parameter.free)
    return curve.replicates[enough]


def interval(curve: Curve, parameter: Parameter, values: Floats) -> tuple[float, float]:
    """The ends, natural logarithms, of the held values (G,), the estimate in their middle, that the data accept.

    With two replicates or more: those under which the sum of the replicates' scores is not significant by its t test.
    With one: those whose log likelihood is not below the largest by more than Student's t allows, as in a normal
    regression. An end is infinite where even the last value is accepted, nan where there are no degrees of freedom.
    """
    if len(replicates := comparable(curve, parameter)) > 1:
        found_by = scores(curve, parameter, values, replicates)
        signed = signed_scores(found_by.scores, found_by.information)
    else:
        found = profile(curve.checks(), parameter, values)
        signed = signed_likelihood(found.log_likelihood, found.cells.first.shape[1], 1 + len(parameter.free))
    return ends(values, signed)


def scores(curve: Curve, parameter: Parameter, values: Floats, replicates: NDArray[np.int64]) -> Scores:
    """The score of each of the replicates: d log likelihood / d parameter, whatever the free ones are in it alone."""
    checks = curve.checks()
    found = profile(checks, parameter, values)
    rows = np.flatnonzero(np.isin(curve.replicates, replicates)).tolist()
    each, information = zip(*(_of_replicate(found, checks, row) for row in rows), strict=True)
    return Scores(values, np.stack(each), np.stack(information), found.log_likelihood)


def _of_replicate(found: Profile, checks: Checks, row: int) -> tuple[Floats, Floats]:
    own = checks.replicate == row
    root = np.sqrt(np.clip(found.cells.information[:, own], 1e-6, 1))
    free = found.free_slopes[:, own] / np.maximum(np.abs(found.free_slopes[:, own]).max(axis=1, keepdims=True), 1e-300)
    basis, _ = np.linalg.qr(free * root[:, :, None])
    contrast = found.slope[:, own] * root / found.sigma[:, None]
    contrast = contrast - np.einsum("gnp,gmp,gm->gn", basis, basis, contrast)
    return (contrast / root * found.cells.first[:, own]).sum(axis=1), (contrast**2).sum(axis=1)


def signed_scores(scores: Floats, information: Floats) -> Floats:
    """The t of the sum of the replicates' scores (R, G) over its bound (G,): above 1 for too low a value.

    Replicates may lack batch sizes, and so have less information (R, G) than others: each score is held against its
    share of the sum (HC2, MacKinnon and White, 1985), with the degrees of freedom of Bell and McCaffrey (2002) where
    the replicates differ alike. With as much information in each it is Student's t of the mean score.
    """
    from scipy.stats import t

    share = np.maximum(information, 1e-300) / np.maximum(information, 1e-300).sum(axis=0)
    others = np.maximum(1 - share, 1e-12)
    error = np.sqrt(((scores - share * scores.sum(axis=0)) ** 2 / others).sum(axis=0))
    bound = t.ppf((1 + LEVEL) / 2, _degrees(share, others))
    result: Floats = scores.sum(axis=0) / np.maximum(error * bound, 1e-300)
    return result


def _degrees(share: Floats, others: Floats) -> Floats:
    """Satterthwaite's degrees of freedom (G,) of the error that signed_scores has: R - 1 with equal shares (R, G)."""
    scale = share / np.sqrt(others)
    between = np.eye(len(share))[:, :, None] - share[:, None] - share[None] + (share**2).sum(axis=0)
    products = scale[:, None] * scale[None] * between
    result: Floats = np.einsum("rrg->g", products) ** 2 / (products**2).sum(axis=(0, 1))
    return result


def signed_likelihood(log_likelihood: Floats, count: int, fitted: int) -> Floats:
    """The root of what each log likelihood (G,) lacks of the largest over its bound (G,), signed as signed_scores.

    It is that of `count` known K*, to which so many coefficients are `fitted`.
    """
    from scipy.stats import t

    if count <= fitted:
        return np.full(len(log_likelihood), math.nan)
    lacking = 2 * (log_likelihood.max() - log_likelihood)
    bound = count * math.log1p(t.ppf((1 + LEVEL) / 2, count - fitted) ** 2 / (count - fitted))
    result: Floats = np.sign(log_likelihood.argmax() - np.arange(len(lacking))) * np.sqrt(lacking / bound)
    return result


def ends(values: Floats, signed: Floats) -> tuple[float, float]:
    """Where `signed` (G,) passes 1 below the middle of the values, and -1 above it; nan where it is unknown.

    Where it has passed them in the middle already, an end lies on the other side: the most likely value is a limit.
    """
    if np.isnan(signed).any():
        return math.nan, math.nan
    return -_upper(-values[::-1], -signed[::-1]), _upper(values, signed)


def _upper(values: Floats, signed: Floats) -> float:
    middle = len(values) // 2
    too_high = signed < -1
    if too_high[middle]:
        accepted = np.flatnonzero(~too_high[:middle])
        at = int(accepted[-1]) if len(accepted) else -1
    else:
        rejected = np.flatnonzero(too_high[middle:])
        at = middle + int(rejected[0]) - 1 if len(rejected) else len(values) - 1
    if at in (-1, len(values) - 1):
        return math.copysign(math.inf, at)
    share = (1 + signed[at]) / (signed[at] - signed[at + 1])
    return float(values[at] + share * (values[at + 1] - values[at]))
