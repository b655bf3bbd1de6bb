"""The batch size at 20% overhead, from curves where it can be worked out."""

import math

import numpy as np
import pytest
from planted import narrow

from dps.analysis.fits.estimate import Estimate
from dps.analysis.fits.fit import Fit
from dps.analysis.fits.overhead import critical_at_overhead

B = 2.0 ** np.arange(0, 11)


def law(c1: float, c2: float) -> Fit:
    """These constants, as if they had been fitted."""
    return Fit(Estimate(c1), Estimate(c2), Estimate(c1 / c2 if c2 else math.inf), math.nan, "profile")


def test_where_linear_scaling_ends_at_once() -> None:
    k = np.maximum(1024 / B, 32)  # K* B is 1024 to B = 32, then 32 B: 20% more at 38.4
    assert critical_at_overhead(narrow(B, k), law(1024, 16)).value == pytest.approx(38.4, rel=0.01)


def test_the_fit_gives_a_fifth_of_c1_over_c2_at_small_batch_sizes() -> None:
    found = critical_at_overhead(narrow(B, 1e5 / B + 1e3), law(1e5, 1e3))
    assert found.value == pytest.approx(0.2 * 100 + 1.2, rel=0.05)


def test_it_is_infinite_where_it_is_not_reached() -> None:
    found = critical_at_overhead(narrow(B, 1024 / B), law(1024, 0))
    assert found.value == found.high == math.inf and found.low > 500


@pytest.mark.parametrize("size", [3, 4, 8])
def test_one_replicate_holds_the_truth_in_95_percent(size: int) -> None:
    """On K* = c1 / B + c2, whose overhead is a fifth between two measured batch sizes."""
    b, generator = np.geomspace(4, 1024, size), np.random.default_rng(size)
    steps = 2e4 / b + 80
    truth = critical_at_overhead(narrow(b, steps), law(2e4, 80)).value
    ends = [
        critical_at_overhead(narrow(b, steps * np.exp(0.1 * generator.standard_normal(size))), law(2e4, 80))[1:]
        for _ in range(600)
    ]
    assert np.mean([low <= truth <= high for low, high in ends]) == pytest.approx(0.95, abs=0.02)


def test_levels_of_replicates_do_not_count() -> None:
    k = np.maximum(1024 / B, 32) * np.exp([[0.3], [-0.2], [0.1]])
    assert critical_at_overhead(narrow(B, k), law(1024, 16)) == pytest.approx((38.4,) * 3, rel=0.02)
