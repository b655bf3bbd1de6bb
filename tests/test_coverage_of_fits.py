"""How often the 95% intervals of curves with planted constants hold them, and how often a true curve is rejected.

Critical batch sizes within the grid and towards its edge, noise of 5, 10 and 20%, K* rounded up to every 16th step,
with and without an effect that a replicate has at all batch sizes, of which a single replicate cannot know. Beyond
the bounds from .92 to .98, two standard errors of the simulation are allowed: .016 for the 768 curves of each number of
batch sizes and replicates, and so for the pairs.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product

import numpy as np
import pandas as pd
import pytest
from planted import noisy

from dps.analysis.fits.estimate import Estimate
from dps.analysis.fits.fit import fit
from dps.analysis.fits.misfit import LEAST_FOR_EXPONENT, exponent, misfit
from dps.analysis.fits.overhead import critical_at_overhead
from dps.analysis.fits.ratios import c1_ratio, critical_ratio

pytestmark = pytest.mark.slow
GRIDS = {
    4: 2.0 ** np.array([4, 6, 8, 10]),
    5: 2.0 ** np.arange(2, 11, 2),
    7: 2.0 ** np.arange(4, 11),
    14: 2.0 ** np.arange(1, 15),
}
LEVEL_OFF = 80.0  # c2 in steps
SETTINGS = tuple(product((0.05, 0.1, 0.2), (250.0, 1000.0), (0.0, 0.15)))  # sigma, c1 / c2, shared effect
DRAWS = 64  # in each setting, at each number of batch sizes
LEAST, MOST = 0.92, 0.98


def holds(estimate: Estimate, truth: float) -> float:
    """Whether the truth lies in the interval; nan where none is given."""
    return math.nan if math.isnan(estimate.low) else estimate.low <= truth <= estimate.high


def allows(estimate: Estimate, value: float) -> bool:
    """Whether neither end excludes the value, as one that is not known does not."""
    return not (estimate.low > value or estimate.high < value)


def examples_at_overhead(b: np.ndarray, critical: float) -> float:
    """Where 1 + B / critical, interpolated as the data are, is a fifth above its value at the smallest batch size."""
    asked = np.linspace(math.log(b[0]), math.log(b[-1]), 20001)
    above = np.interp(asked, np.log(b), np.log1p(b / critical))
    return float(np.exp(asked[np.argmax(above >= above[0] + math.log(1.2))]))


def of_curves(size: int, replicates: int, draws: int) -> Iterator[dict[str, float]]:
    """What holds of the numbers of one curve."""
    generator = np.random.default_rng(100 * size + replicates)
    for sigma, critical, shared in SETTINGS * draws:
        effect = shared * (replicates > 1) * generator.standard_normal((replicates, 1))
        curve = noisy(generator, GRIDS[size], replicates, (LEVEL_OFF * critical, LEVEL_OFF), sigma, effect)
        found = fit(curve)
        yield {
            "c1": holds(found.c1, LEVEL_OFF * critical),
            "c2": holds(found.c2, LEVEL_OFF),
            "critical_batch_size": holds(found.critical_batch_size, critical),
            "exponent": math.nan if size < LEAST_FOR_EXPONENT else allows(exponent(curve), 1),
            "critical_20": holds(critical_at_overhead(curve, found), examples_at_overhead(GRIDS[size], critical)),
            "misfit_p": math.nan if math.isnan(p := misfit(curve)) else p >= 0.05,
        }


def of_pairs(size: int, replicates: int, draws: int) -> Iterator[dict[str, float]]:
    """What holds of the ratios of two curves, whose replicates share an effect and have one of their own."""
    generator = np.random.default_rng(100 * size + replicates)
    for sigma, critical, shared in SETTINGS * draws:
        effect, *own = shared * (replicates > 1) * generator.standard_normal((3, replicates, 1))
        sparse, dense = (
            noisy(generator, GRIDS[size], replicates, (c2 * examples, c2), sigma, effect + 0.5 * alone)
            for c2, examples, alone in ((100, 2 * critical, own[0]), (80, critical, own[1]))
        )
        yield {
            "c1_ratio": holds(c1_ratio(sparse, dense), 2.5),
            "critical_ratio": holds(critical_ratio(sparse, dense), 2),
        }


def of_unequal(unknown: Sequence[tuple[int, int]], replicates: int, draws: int) -> Iterator[dict[str, float]]:
    """What holds of a curve and of a pair's ratios where K* is not known in some replicates and columns."""
    generator = np.random.default_rng(replicates)
    for sigma, critical, shared in SETTINGS * draws:
        effect, *own = shared * generator.standard_normal((3, replicates, 1))
        curves = []
        for c2, examples, alone in ((100, 2 * critical, own[0]), (80, critical, own[1])):
            whole = noisy(generator, GRIDS[7], replicates, (c2 * examples, c2), sigma, effect + 0.5 * alone)
            steps = whole.steps.copy()
            steps[tuple(zip(*unknown, strict=True))] = np.nan
            curves.append(replace(whole, steps=steps))
        found = fit(curves[1])
        yield {
            "c1": holds(found.c1, LEVEL_OFF * critical),
            "c2": holds(found.c2, LEVEL_OFF),
            "critical_batch_size": holds(found.critical_batch_size, critical),
            "c1_ratio": holds(c1_ratio(*curves), 2.5),
            "critical_ratio": holds(critical_ratio(*curves), 2),
            "c1 has two ends": found.c1.low > 0 and math.isfinite(found.c1.high),
        }


def check(rows: Iterator[dict[str, float]]) -> None:
    """The share that holds is between .92 and .98, for each interval that is given."""
    found = pd.DataFrame(rows)
    print(found.mean().round(3).to_dict())
    beyond = 2 * math.sqrt(0.05 * 0.95 / len(found))
    shares = found.mean().dropna()
    assert ((shares >= LEAST - beyond) & (shares <= MOST + beyond)).all(), shares


@pytest.mark.parametrize("replicates", [1, 2, 3, 5])
@pytest.mark.parametrize("size", GRIDS)
def test_the_intervals_of_a_curve_hold_its_constants(size: int, replicates: int) -> None:
    check(of_curves(size, replicates, DRAWS))


@pytest.mark.parametrize("replicates", [1, 2, 3, 5])
@pytest.mark.parametrize("size", GRIDS)
def test_the_intervals_of_ratios_hold_them(size: int, replicates: int) -> None:
    check(of_pairs(size, replicates, DRAWS))


@pytest.mark.parametrize(
    ("replicates", "unknown"),
    [(3, [(0, 0)]), (3, [(0, column) for column in range(4)]), (5, [(0, 0), (0, 1), (1, 0), (1, 1)])],
    ids=["one lacks the smallest", "one has three", "two of five lack two"],
)
def test_replicates_may_lack_batch_sizes(replicates: int, unknown: list[tuple[int, int]]) -> None:
    found = pd.DataFrame(of_unequal(unknown, replicates, DRAWS // 2)).mean()
    print(found.round(3).to_dict())
    least = LEAST - 2 * math.sqrt(0.05 * 0.95 / (len(SETTINGS) * DRAWS // 2))
    assert (found.drop("c1 has two ends") >= least).all(), found
    assert found["c1 has two ends"] >= 0.9
