"""The tests of c1 / B + c2, where it is true and where it is not."""

import math

import numpy as np
import pytest
from planted import INTERVAL, curve, narrow, noisy

from dps.analysis.fits.curve import Curve
from dps.analysis.fits.misfit import exponent, misfit

B = 2.0 ** np.arange(2, 13)


def bent(a: float, replicates: int, sigma: float) -> Curve:
    """(c1^a / B^a + c2^a)^(1/a) with noise."""
    k = ((2e4 / B) ** a + 80**a) ** (1 / a) * np.exp(
        sigma * np.random.default_rng(1).standard_normal((replicates, len(B)))
    )
    return curve(B, np.ceil(k / INTERVAL) * INTERVAL)


@pytest.mark.parametrize("replicates", [1, 3])
@pytest.mark.parametrize("a", [0.3, 4.0])
def test_another_curve_is_found_out(a: float, replicates: int) -> None:
    found = bent(a, replicates, 0.03)
    assert misfit(found) < 0.01
    estimate = exponent(found)
    assert estimate.low < a < estimate.high and not estimate.low < 1 < estimate.high


@pytest.mark.parametrize(("replicates", "count"), [(1, 300), (3, 300)])
def test_the_theorys_curve_is_rejected_as_often_as_said(replicates: int, count: int) -> None:
    generator = np.random.default_rng(2)
    shared = 0.1 * generator.standard_normal((count, replicates, 1))
    p = [misfit(noisy(generator, B[2:9], replicates, (2e4, 80), 0.1, each)) for each in shared]
    assert np.mean(np.array(p) < 0.05) == pytest.approx(0.05, abs=0.035)
    assert np.mean(np.array(p) < 0.5) == pytest.approx(0.5, abs=0.09)


def test_a_sharp_corner_leaves_the_exponent_open() -> None:
    sharp = bent(50.0, 1, 0.02)
    assert exponent(sharp).high == math.inf and exponent(sharp).low > 1


def test_a_linear_curve_has_no_exponent() -> None:
    assert np.isnan(exponent(narrow(B, 2e4 / B))).all()


def test_too_few_batch_sizes_know_no_misfit() -> None:
    few = [noisy(np.random.default_rng(3), B[:size], 1, (2e4, 80), 0.1) for size in (3, 4)]
    assert all(math.isnan(misfit(curve)) and np.isnan(exponent(curve)).all() for curve in few)
