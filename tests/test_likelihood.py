"""The normal distribution between two checks, against scipy's truncated one."""

import numpy as np
import pytest
from scipy.stats import norm, truncnorm

from dps.analysis.fits.likelihood import cells


@pytest.mark.parametrize(("low", "high"), [(-1.0, 0.5), (0.2, 3.0), (-8.0, -6.0), (4.0, 4.5), (-700.0, 0.3)])
def test_moments_are_those_of_the_truncated_normal(low: float, high: float) -> None:
    mean, sigma = 0.7, 0.4
    at = cells(np.array([mean + sigma * low]), np.array([mean + sigma * high]), np.array([[mean]]), np.array([[sigma]]))
    first, variance = truncnorm.stats(low, high)
    assert np.exp(at.log_probability[0, 0]) == pytest.approx(norm.cdf(high) - norm.cdf(low), rel=1e-9)
    assert at.first[0, 0] == pytest.approx(first, rel=1e-6)
    assert at.second[0, 0] == pytest.approx(variance + first**2, rel=1e-6)
    assert at.information[0, 0] == pytest.approx(1 - variance, abs=1e-6)


@pytest.mark.parametrize("side", [-1, 1])
def test_far_from_the_curve_nothing_overflows(side: int) -> None:
    near, far = 40.0, 41.0
    ends = np.sort(side * np.array([near, far]))
    at = cells(ends[:1], ends[1:], np.zeros((1, 1)), np.ones((1, 1)))
    assert at.log_probability[0, 0] == pytest.approx(norm.logsf(near), rel=1e-9)
    assert at.first[0, 0] == pytest.approx(side * (near + 1 / near), rel=1e-4)
