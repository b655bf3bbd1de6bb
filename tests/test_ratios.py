"""Ratios of two curves: from pairs of replicates, or from one of each."""

import math
from typing import Any

import numpy as np
import pytest
from planted import narrow, noisy
from scipy.optimize import minimize
from scipy.stats import norm, t

from dps.analysis.fits.curve import Curve, in_common
from dps.analysis.fits.ratios import c1_ratio, critical_ratio

B = 2.0 ** np.arange(2, 13)


def test_what_replicates_share_is_no_uncertainty_of_a_ratio() -> None:
    shared = np.array([[0.1], [-0.1], [0.05]])
    own, other = np.array([[0.012], [-0.02], [0.002]]), np.array([[0.004], [0.01], [-0.014]])
    curves = (narrow(B, (5e4 / B + 100) * np.exp(shared + own)), narrow(B, (2e4 / B + 80) * np.exp(shared + other)))
    difference = own - other
    reach = t.ppf(0.975, 2) * difference.std(ddof=1) / math.sqrt(3)
    found = np.log(np.divide(c1_ratio(*curves), 2.5))
    assert found == pytest.approx(difference.mean() + reach * np.array([0, -1, 1]), abs=0.05 * reach)
    assert critical_ratio(*curves) == pytest.approx((2, 2, 2), rel=0.01)


def unlikely(parameters: np.ndarray, *curves: Curve) -> float:
    """Minus the log likelihood of curves under log c1, log c2 and log sigma of each."""
    total = 0.0
    for (log_c1, log_c2, log_sigma), curve in zip(parameters.reshape(-1, 3), curves, strict=True):
        mean = np.log(np.exp(log_c1) / curve.batch_sizes + np.exp(log_c2))
        high, low = (
            norm.cdf((np.log(k) - mean) / np.exp(log_sigma)) for k in (curve.steps, curve.steps - curve.interval_steps)
        )
        total -= np.log(np.maximum(high - low, 1e-300)).sum()
    return total


def test_single_replicates_are_fitted_together() -> None:
    """Against scipy's optimizer: at the ends, both likelihoods together are as low as Student's t allows."""
    generator = np.random.default_rng(0)
    own, other = (noisy(generator, B, 1, coefficients, 0.1) for coefficients in ((5e4, 100), (2e4, 80)))
    start = np.log([5e4, 100, 0.1, 2e4, 80, 0.1])
    best = minimize(unlikely, start, (own, other), "Nelder-Mead", options={"maxiter": 20000, "fatol": 1e-9}).fun
    free = 2 * len(B) - 4
    allowed = len(B) * math.log1p(t.ppf(0.975, free) ** 2 / free)
    found = c1_ratio(own, other)
    for end in (found.low, found.high):

        def held(five: np.ndarray, log_ratio: float = math.log(end)) -> float:
            return unlikely(np.r_[five[2] + log_ratio, five], own, other)

        start = np.log([100, 0.1, 2e4, 80, 0.1])
        at_end = minimize(held, start, method="Nelder-Mead", options={"maxiter": 20000, "fatol": 1e-9}).fun
        assert at_end - best == pytest.approx(allowed, rel=0.03)


def test_what_one_curve_alone_has_does_not_move_the_ratio() -> None:
    """A replicate, a batch size and single K* of one curve, all far from its fit."""
    generator = np.random.default_rng(0)
    own, other = (noisy(generator, B, 4, coefficients, 0.05) for coefficients in ((5e4, 100), (2e4, 80)))
    three: Any = np.arange(3)
    sizes: Any = B
    expected = own.at(three, sizes[:-1]), other.at(three, sizes[:-1])
    for one in expected:
        one.steps[[0, 1], [5, 0]] = np.nan
    own.steps[3] *= 100
    own.steps[0, 5], other.steps[0, 5] = np.nan, 1e5
    other.steps[1, 0], own.steps[1, 0] = np.nan, 1e6
    own.steps[:, -1] = np.nan
    found = c1_ratio(*in_common(own, other.at(three, sizes)))
    assert found == c1_ratio(*expected) and 2 < found.low < found.value < found.high < 3


def test_curves_without_a_batch_size_in_common_are_empty() -> None:
    own, other = (noisy(np.random.default_rng(0), b, 2, (5e4, 100), 0.05) for b in (B[::2], B[1::2]))
    assert [len(curve.batch_sizes) for curve in in_common(own, other)] == [0, 0]


@pytest.mark.parametrize("replicates", [1, 3])
def test_a_curve_that_does_not_level_off_leaves_its_side_open(replicates: int) -> None:
    generator = np.random.default_rng(1)
    linear = noisy(generator, B[:7], replicates, (2e6, 0.01), 0.03)
    level = noisy(generator, B, replicates, (2e4, 80), 0.03)
    above, below = (critical_ratio(*in_common(*both)) for both in ((linear, level), (level, linear)))
    assert above.high == math.inf and above.low > 1
    assert below.low == pytest.approx(0, abs=1e-6) and below.high == pytest.approx(1 / above.low, rel=0.1)
