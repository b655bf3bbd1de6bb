"""What fresh seeds say of a configuration, against other ways to compute it."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dps.analysis.confirmed import LEAST_SEEDS, confirmed, summary, winner
from dps.storage import confirmations

INF = math.inf


def configurations(count: int) -> pd.DataFrame:
    """The first rows of a search, as best_configurations has them."""
    numbers = pd.array(range(count), dtype="Int64")
    frame = pd.DataFrame({"rank": numbers + 1, "replicate": 0 * numbers, "trial": numbers})
    return frame.assign(lr=[0.1 * 2**n for n in range(count)], steps_found=16 * (numbers + 1))


def of(*steps: Sequence[float], max_steps: int = 4000) -> pd.DataFrame:
    """The summary of configurations, each by the steps of its seeds."""
    return summary(configurations(len(steps)), np.array(steps, float).T, max_steps)


@pytest.mark.parametrize(("arrived", "seeds"), [(0, 24), (12, 24), (23, 24), (24, 24), (1, 6)])
def test_the_interval_of_the_success_rate_is_wilsons(arrived: int, seeds: int) -> None:
    row = of([32] * arrived + [INF] * (seeds - arrived)).iloc[0]
    assert row["success_rate"] == arrived / seeds
    # its ends are the rates p from which the observed one is 1.96 standard deviations of p away
    for end, sign in (("success_low", 1), ("success_high", -1)):
        p = row[end]
        away = (arrived / seeds - p) - sign * 1.959964 * math.sqrt(max(p * (1 - p), 0) / seeds)
        assert away == pytest.approx(0, abs=1e-6)
    assert 0 <= row["success_low"] <= arrived / seeds <= row["success_high"] <= 1


@pytest.mark.parametrize("seeds", range(LEAST_SEEDS, 31))
def test_two_steps_in_their_order_enclose_the_median(seeds: int) -> None:
    """The narrowest symmetric pair whose probability, counted over all outcomes of fair coins, is 95% at least."""
    row = of([16 * n for n in range(1, seeds + 1)]).iloc[0]
    first, last = int(row["median_low"]) // 16, int(row["median_high"]) // 16
    assert first + last == seeds + 1

    def covered(below: int) -> float:
        return sum(math.comb(seeds, k) for k in range(below, seeds - below + 1)) / 2**seeds

    assert covered(first) >= 0.95 > covered(first + 1)
    assert row["median_steps"] == 16 * math.ceil(seeds / 2)


def test_of_too_few_seeds_nothing_is_said_with_confidence() -> None:
    row = of([16 * n for n in range(1, LEAST_SEEDS)]).iloc[0]
    assert pd.isna(row["median_low"]) and pd.isna(row["median_high"])


def test_a_seed_that_does_not_arrive_is_slower_than_all_others() -> None:
    steps = [16.0 * n for n in range(1, 13)] + [INF] * 12
    row = of(steps).iloc[0]
    assert (row["arrived"], row["median_steps"], row["median_low"]) == (12, 192, 112)
    assert pd.isna(row["median_high"])
    row = of([*steps[1:], INF]).iloc[0]
    assert pd.isna(row["median_steps"]) and row["median_low"] == 128


def test_the_winner_has_the_least_median_then_the_highest_success_rate_then_the_better_rank() -> None:
    lucky, slow, steady, again = [32, INF, INF, INF], [96, 96, 96, 96], [64, 64, 64, INF], [64, 64, 64, 64]
    for order, rank in [((lucky, slow), 2), ((slow, steady, again), 3), ((slow, steady, steady), 2)]:
        found = winner(of(*order))
        assert found is not None and found["rank"] == rank
    best = winner(of(lucky, [INF] * 4))
    assert best is not None and best["rank"] == 1 and pd.isna(best["median_steps"])
    assert isinstance(best["seeds"], int)


def test_without_a_seed_there_is_no_winner(tmp_path: Path) -> None:
    assert confirmed(tmp_path) is None
    confirmations.write(tmp_path, summary(configurations(3), np.empty((0, 3)), 4000))
    assert confirmed(tmp_path) is None
    confirmations.write(tmp_path, of([48] * 4, [32] * 4))
    row = confirmed(tmp_path)
    assert row is not None and (row["rank"], row["lr"], row["median_steps"]) == (2, 0.2, 32)


@pytest.mark.slow
@pytest.mark.parametrize("same_data", [0.0, 0.5])
@pytest.mark.parametrize("spread", [0.0, 0.1])
def test_the_interval_of_the_confirmed_k_star_holds_its_median(same_data: float, spread: float) -> None:
    """Of five configurations, the least median is chosen: the interval is to hold that one's true median even then.

    `spread` is between the logs of the true medians: 0, where the choice is all luck, is the hardest. `same_data` is
    the part of a seed's variance that its five configurations share.
    """
    generator, held, draws = np.random.default_rng(0), 0, 800
    medians = 320 * np.exp(spread * np.arange(5))
    for _ in range(draws):
        shared, own = generator.normal(size=(24, 1)), generator.normal(size=(24, 5))
        noise = math.sqrt(same_data) * shared + math.sqrt(1 - same_data) * own
        row = winner(summary(configurations(5), medians * np.exp(0.3 * noise), 4000))
        assert row is not None
        # steps are whole here, and the true median is not
        held += row["median_low"] - 1 <= medians[row["rank"] - 1] <= row["median_high"] + 1
    assert 0.92 <= held / draws <= 0.99, held / draws
