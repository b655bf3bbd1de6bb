"""The batch size at 20% overhead, from curves where it can be worked out."""

import math

import numpy as np
import pytest
from planted import narrow
from scipy.stats import t

from dps.analysis.fits.overhead import critical_at_overhead

B = 2.0 ** np.arange(0, 11)


def test_where_linear_scaling_ends_at_once() -> None:
    k = np.maximum(1024 / B, 32)  # K* B is 1024 to B = 32, then 32 B: 20% more at 38.4
    assert critical_at_overhead(narrow(B, k), math.nan).value == pytest.approx(38.4, rel=0.01)


def test_the_fit_gives_a_fifth_of_c1_over_c2_at_small_batch_sizes() -> None:
    assert critical_at_overhead(narrow(B, 1e5 / B + 1e3), math.nan).value == pytest.approx(0.2 * 100 + 1.2, rel=0.05)


def test_it_is_infinite_where_it_is_not_reached() -> None:
    found = critical_at_overhead(narrow(B, 1024 / B), 0.01)
    assert found.value == found.high == math.inf and found.low > 500


def test_the_interval_is_where_the_overhead_may_be_a_fifth() -> None:
    """On K* B = B^(1/4), one replicate: its error at a measured batch size is that of two values."""
    b = 4.0 ** np.arange(4)
    sigma = 0.01
    found = critical_at_overhead(narrow(b, b**-0.75), sigma)
    bound = t.ppf(0.975, 2) * sigma
    assert found.value == pytest.approx(1.2**4, rel=0.01)
    for end, side in ((found.low, 1), (found.high, -1)):
        share = math.log(end, 4)  # of the way from 1 to 4, which are the two values
        assert 0 < share < 1
        assert math.log(end) / 4 + side * bound * share * math.sqrt(2) == pytest.approx(math.log(1.2), abs=2e-3)


def test_levels_of_replicates_do_not_count() -> None:
    k = np.maximum(1024 / B, 32) * np.exp([[0.3], [-0.2], [0.1]])
    assert critical_at_overhead(narrow(B, k), math.nan) == pytest.approx((38.4,) * 3, rel=0.02)
