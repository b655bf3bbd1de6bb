"""How often the 95% intervals of curves with planted constants hold them, and how often a true curve is rejected.

Critical batch sizes within the grid and towards its edge, noise of 5, 10 and 20%, K* rounded up to every 16th step,
with and without an effect that a replicate has at all batch sizes, of which a single replicate cannot know. Beyond
the bounds from .92 to .98, two standard errors of the simulation are allowed: .018 for the 576 curves of each number of
replicates, .026 for the 288 pairs.
"""

import math
from collections.abc import Iterator
from itertools import product

import numpy as np
import pytest
from planted import noisy

from dps.analysis.fits.estimate import Estimate
from dps.analysis.fits.fit import fit
from dps.analysis.fits.misfit import exponent, misfit
from dps.analysis.fits.overhead import critical_at_overhead
from dps.analysis.fits.ratios import c1_ratio, critical_ratio

pytestmark = pytest.mark.slow
GRIDS = {4: 2.0 ** np.array([4, 6, 8, 10]), 7: 2.0 ** np.arange(4, 11), 14: 2.0 ** np.arange(1, 15)}
LEVEL_OFF = 80.0  # c2 in steps
SETTINGS = tuple(product((0.05, 0.1, 0.2), (250.0, 1000.0), (0.0, 0.15)))  # sigma, c1 / c2, shared effect
DRAWS, PAIRS = 16, 8  # in each setting, at each number of batch sizes
LEAST, MOST = 0.92, 0.98


def holds(estimate: Estimate, truth: float) -> bool:
    """Whether the truth lies in the interval."""
    return estimate.low <= truth <= estimate.high


def examples_at_overhead(b: np.ndarray, critical: float) -> float:
    """Where 1 + B / critical, interpolated as the data are, is a fifth above its value at the smallest batch size."""
    asked = np.linspace(math.log(b[0]), math.log(b[-1]), 20001)
    above = np.interp(asked, np.log(b), np.log1p(b / critical))
    return float(np.exp(asked[np.argmax(above >= above[0] + math.log(1.2))]))


def of_curves(size: int, replicates: int, draws: int) -> Iterator[dict[str, bool]]:
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
            "exponent": holds(exponent(curve), 1),
            "critical_20": holds(critical_at_overhead(curve, found.sigma), examples_at_overhead(GRIDS[size], critical)),
            "misfit_p": not misfit(curve) < 0.05,
        }


def of_pairs(size: int, replicates: int, draws: int) -> Iterator[dict[str, bool]]:
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


def shares(rows: Iterator[dict[str, bool]]) -> dict[str, float]:
    """The share that holds, of each."""
    found = list(rows)
    return {name: float(np.mean([row[name] for row in found])) for name in found[0]}


def check(by_size: list[dict[str, float]], draws: int, conservative: tuple[str, ...]) -> None:
    """The mean over the numbers of batch sizes is between .92 and .98, or above where an interval is conservative."""
    beyond = 2 * math.sqrt(0.05 * 0.95 / (draws * len(SETTINGS) * len(by_size)))
    for name in by_size[0]:
        share = np.mean([found[name] for found in by_size])
        assert LEAST - beyond <= share, (name, by_size)
        assert share <= MOST + beyond or name in conservative, (name, by_size)


@pytest.mark.parametrize("replicates", [1, 2, 3, 5])
def test_the_intervals_of_a_curve_hold_its_constants(replicates: int) -> None:
    found = [shares(of_curves(size, replicates, DRAWS)) for size in GRIDS]
    check(found, DRAWS, ("critical_20",) if replicates == 1 else ())


@pytest.mark.parametrize("replicates", [1, 2, 3, 5])
def test_the_intervals_of_ratios_hold_them(replicates: int) -> None:
    found = [shares(of_pairs(size, replicates, PAIRS)) for size in GRIDS]
    check(found, PAIRS, ())
