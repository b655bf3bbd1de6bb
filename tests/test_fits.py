"""The fit of K* = c1 / B + c2 against planted constants and brute force, and its intervals against closed forms."""

import math

import numpy as np
import pytest
from planted import INTERVAL, curve, narrow, noisy
from scipy.optimize import minimize_scalar
from scipy.stats import norm, t, ttest_1samp

from dps.analysis.fits.fit import fit, most_likely
from dps.analysis.fits.intervals import signed_scores

B = 2.0 ** np.arange(1, 15)


@pytest.mark.parametrize(("c1", "c2"), [(1e4, 50), (3e6, 16), (5, 4000), (1e4, 1e-1)])
@pytest.mark.parametrize("b", [B, B[[0, 6, 13]]])
def test_planted_constants_come_back(c1: float, c2: float, b: np.ndarray) -> None:
    found = most_likely(narrow(b, c1 / b + c2))
    assert found[:2] == pytest.approx((c1, c2), rel=1e-3)


def test_the_fit_is_the_most_likely_one() -> None:
    """Against a scan of c1, c2 and sigma."""
    generator = np.random.default_rng(1)
    b = B[4:11]
    found = noisy(generator, b, 2, (2e4, 80), 0.1)
    c1, c2, sigma = most_likely(found)

    def log_likelihood(c1: float, c2: float, sigma: float) -> float:
        mean = np.log(c1 / b + c2)
        high, low = ((np.log(found.steps - back) - mean) / sigma for back in (0, INTERVAL))
        return float(np.log(np.maximum(norm.cdf(high) - norm.cdf(low), 1e-300)).sum())

    best = log_likelihood(c1, c2, sigma)
    nearby = np.exp(0.3 * generator.standard_normal((2000, 3)) * generator.uniform(0, 1, (2000, 1)) ** 4)
    assert all(log_likelihood(c1 * x, c2 * y, sigma * z) <= best + 1e-6 for x, y, z in nearby)


def test_rounding_up_to_the_check_leaves_no_bias() -> None:
    generator = np.random.default_rng(0)
    c2 = [most_likely(noisy(generator, B[2:11], 1, (2e4, 80), 0.1))[1] for _ in range(300)]
    assert np.exp(np.log(c2).mean()) == pytest.approx(80, rel=0.015)


def test_a_term_that_is_not_there_is_zero() -> None:
    linear, flat = fit(narrow(B, 1e4 / B)), fit(narrow(B, np.full(14, 50.0)))
    assert linear.c1.value == pytest.approx(1e4, rel=1e-3) and linear.c2.value == 0
    assert linear.c2.low == 0 and linear.critical_batch_size.value == linear.critical_batch_size.high == math.inf
    assert flat.c2.value == pytest.approx(50, rel=1e-3) and flat.c1.value == flat.c1.low == 0
    assert flat.critical_batch_size[:2] == (0, 0)


@pytest.mark.parametrize("b", [[2], [2, 4]])
def test_too_few_batch_sizes_are_refused(b: list[int]) -> None:
    with pytest.raises(ValueError, match=f"K\\* is known at {len(b)} batch sizes, .* at least 3"):
        fit(curve(b, [100] * len(b)))


def test_one_replicate_has_the_interval_of_a_regression() -> None:
    """Where the checks are fine, the interval of c1 ends where the residuals have grown as F allows."""
    generator = np.random.default_rng(3)
    b = B[3:10]
    k = (2e4 / b + 80) * np.exp(0.1 * generator.standard_normal(7))

    def residual(c1: float) -> float:
        return float(minimize_scalar(lambda x: np.sum(np.log(k / (c1 / b + np.exp(x))) ** 2), (4, 5)).fun)

    found = fit(narrow(b, k))
    allowed = 1 + t.ppf(0.975, 5) ** 2 / 5
    least = residual(found.c1.value)
    assert found.interval == "profile"
    for end in found.c1[1:]:
        assert residual(end) / least == pytest.approx(allowed, rel=0.02)
    c1, c2, _ = most_likely(narrow(b, k))
    assert found.sigma == pytest.approx(math.sqrt(np.sum(np.log(k / (c1 / b + c2)) ** 2) / 5), rel=1e-3)


def test_replicates_that_differ_in_their_level_have_its_t_interval() -> None:
    level = np.array([0.012, -0.02, 0.015, 0.001])
    found = fit(narrow(B, (2e4 / B + 80) * np.exp(level)[:, None]))
    reach = t.ppf(0.975, 3) * level.std(ddof=1) / 2
    assert found.interval == "replicates"
    for estimate, planted in ((found.c1, 2e4), (found.c2, 80)):
        assert np.log(np.divide(estimate, planted)) == pytest.approx(
            level.mean() + reach * np.array([0, -1, 1]), abs=0.02 * reach
        )
    assert found.critical_batch_size == pytest.approx((250, 250, 250), rel=1e-3)  # a level moves both


def test_batch_sizes_need_not_be_known_in_every_replicate() -> None:
    generator = np.random.default_rng(4)
    whole = noisy(generator, B[3:11], 3, (2e4, 80), 0.05)
    whole.steps[0, :2] = whole.steps[1, -1] = np.nan
    whole.steps[2, 1:] = np.nan  # one batch size alone tells nothing of a curve
    found = fit(whole)
    assert found.interval == "replicates" and found.c1.low < 2e4 < found.c1.high
    only = fit(whole.at(np.array([0, 2]), whole.batch_sizes))
    assert only.interval == "profile" and only.c1.low < 2e4 < only.c1.high


def test_three_batch_sizes_have_an_interval() -> None:
    found = fit(noisy(np.random.default_rng(5), B[[3, 7, 11]], 1, (2e4, 80), 0.05))
    assert found.c1.low < found.c1.value < found.c1.high < math.inf


def test_replicates_that_tell_as_much_are_held_to_students_t() -> None:
    scores = np.random.default_rng(4).standard_normal((4, 6)) + 0.8
    expected = ttest_1samp(scores, 0).statistic / t.ppf(0.975, 3)
    assert signed_scores(scores, np.full((4, 6), 7.0)) == pytest.approx(expected, rel=1e-9)


def test_replicates_that_tell_less_are_held_to_less() -> None:
    """Against the matrices of the regression of what each replicate finds, score over information, on a constant."""
    information, scores = np.array([0.3, 1.0, 2.0]), np.array([0.5, 1.1, 1.6])
    weights, one = np.diag(information), np.ones((3, 1))
    hat = one @ np.linalg.inv(one.T @ weights @ one) @ one.T @ weights
    left = (np.eye(3) - hat) @ (scores / information)
    row = (np.linalg.inv(one.T @ weights @ one) @ one.T @ weights / np.sqrt(1 - np.diag(hat)))[0]
    spread = (np.eye(3) - hat) @ (np.eye(3) - hat).T * np.outer(row, row)
    bound = t.ppf(0.975, np.trace(spread) ** 2 / np.trace(spread @ spread))
    expected = scores.sum() / information.sum() / math.sqrt(np.sum((row * left) ** 2)) / bound
    assert signed_scores(scores[:, None], information[:, None]) == pytest.approx(expected, rel=1e-9)


def test_a_replicate_without_the_smallest_batch_sizes_leaves_c1_its_ends() -> None:
    """Far from the truth the scores of all replicates point one way, if of unlike size, and are no contradiction."""
    found = noisy(np.random.default_rng(0), B[1:10], 3, (8e4, 300), 0.05)
    found.steps[0, :5] = np.nan
    c1 = fit(found).c1
    assert 4e4 < c1.low < 8e4 < c1.high < 1.3e5
