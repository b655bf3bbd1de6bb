"""K* over replicates, and K* as rarer checks of the goal would have found it."""

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from report_results import WHOLE, study
from scipy import stats

from dps.analysis import k_star
from dps.analysis.pooled import geometric_mean, one_more, over_dense, pooled


def frame(*rows: dict[str, Any]) -> pd.DataFrame:
    return pd.DataFrame(rows).astype(dict.fromkeys(WHOLE, "Int64"))


def test_the_interval_is_that_of_t_on_the_logarithms() -> None:
    steps = [1984, 2304, 1488]
    mean, low, high = geometric_mean(steps, 16)
    logs = np.log(steps)
    expected = stats.t.interval(0.95, 2, logs.mean(), logs.std(ddof=1) / math.sqrt(3))
    assert mean == pytest.approx(stats.gmean(steps))
    assert (low, high) == pytest.approx(tuple(np.exp(expected)))
    assert low < min(steps)


def test_equal_k_star_are_as_sure_as_their_checks_are_close() -> None:
    mean, low, high = geometric_mean([64, 64, 64], 16)
    assert mean == pytest.approx(64)
    half = stats.t.ppf(0.975, 2) * 16 / 64 / math.sqrt(12) / math.sqrt(3)
    assert (math.log(low / mean), math.log(high / mean)) == pytest.approx((-half, half))


def test_one_replicate_has_no_interval() -> None:
    mean, low, high = geometric_mean([2576], 16)
    assert mean == 2576 and math.isnan(low) and math.isnan(high)


@pytest.mark.slow
@pytest.mark.parametrize("replicates", [2, 3, 5])
@pytest.mark.parametrize("noise", [0.05, 0.2])
@pytest.mark.parametrize("steps", [60, 2000])
def test_the_interval_covers(replicates: int, noise: float, steps: int) -> None:
    """Against the mean logarithm of K* itself, which is rounded up to a check."""
    generator = np.random.default_rng(0)
    draws = 16 * np.ceil(steps * np.exp(generator.normal(0, noise, (4000, replicates))) / 16)
    truth = np.exp(np.log(16 * np.ceil(steps * np.exp(generator.normal(0, noise, 10**6)) / 16)).mean())
    inside = [low <= truth <= high for _, low, high in (geometric_mean(row.tolist(), 16) for row in draws)]
    assert np.mean(inside) >= 0.94


@pytest.mark.parametrize(("replicates", "noise", "steps"), [(2, 0.2, 60), (3, 0.2, 2000), (5, 0.2, 60), (8, 0.05, 200)])
def test_one_more_replicate_lies_in_its_interval(replicates: int, noise: float, steps: int) -> None:
    generator = np.random.default_rng(0)
    draws = 16 * np.ceil(steps * np.exp(generator.normal(0, noise, (1000, replicates + 1))) / 16)
    inside = [low <= row[-1] <= high for row in draws for low, high in [one_more(row[:-1].tolist(), 16)]]
    assert np.mean(inside) >= 0.94


def test_one_more_replicate_of_one_has_no_interval() -> None:
    assert all(map(math.isnan, one_more([2576])))


def test_replicates_are_pooled_and_what_did_not_arrive_leaves_k_star_open() -> None:
    found = pooled(
        frame(
            *(study(16, 0.0, steps, replicate=r) for r, steps in enumerate((1968, 2304, 1600))),
            *(study(16, 0.9, steps, replicate=r) for r, steps in enumerate((6736, None))),
            study(64, 0.0, 608),
            study(64, 0.9, 3536, state="unfinished"),
            study(64, 0.9, 3000, replicate=1),
        ),
        {},
    ).set_index(["batch_size", "sparsity"])
    dense, unreached, single, half = (found.loc[place] for place in [(16, 0.0), (16, 0.9), (64, 0.0), (64, 0.9)])
    assert dense["steps_to_result"] == pytest.approx(stats.gmean([1968, 2304, 1600]))
    assert dense["steps_to_result_low"] < 1600 and dense["steps_to_result_high"] > 2304
    assert (dense["replicates"], dense["reached"]) == (3, 3)
    assert math.isnan(unreached["steps_to_result"]) and (unreached["replicates"], unreached["reached"]) == (2, 1)
    assert single["steps_to_result"] == 608 and math.isnan(single["steps_to_result_low"])
    assert (half["replicates"], half["steps_to_result"], half["state"]) == (1, 3000, "finished")


def test_a_ratio_is_that_of_the_replicates_which_both_networks_have() -> None:
    dense = [study(16, 0.0, steps, replicate=r) for r, steps in enumerate((1000, 2000, 8000))]
    dense += [study(64, 0.0, 500), study(64, 0.0, 700, replicate=1)]
    sparse = [study(16, 0.9, steps, replicate=r) for r, steps in enumerate((3000, 4000))]
    sparse += [study(16, 0.9, 9000, replicate=2, state="unfinished"), study(64, 0.9, 1000, replicate=1)]
    whole, single = over_dense(frame(*dense, *sparse)).to_dict("records")
    logs = np.log([3, 2])
    expected = stats.t.interval(0.95, 1, logs.mean(), logs.std(ddof=1) / math.sqrt(2))
    assert (whole["batch_size"], whole["sparsity"], whole["ratio"]) == (16, 0.9, pytest.approx(math.sqrt(6)))
    assert (whole["ratio_low"], whole["ratio_high"]) == pytest.approx(tuple(np.exp(expected)))
    assert single["ratio"] == pytest.approx(1000 / 700) and math.isnan(single["ratio_low"])


def test_a_ratio_is_not_known_where_a_replicate_of_both_did_not_reach_the_goal() -> None:
    dense = [study(16, 0.0, 1000, replicate=r) for r in (0, 1)]
    assert over_dense(frame(*dense, study(16, 0.9, 3000), study(16, 0.9, None, replicate=1))).empty
    assert over_dense(frame(*dense)).empty


def test_equal_ratios_are_as_sure_as_the_checks_of_both_are_close() -> None:
    """The logarithms of K* are rounded by 16 / 64 and 16 / 32 of them."""
    found = over_dense(frame(*(study(16, s, k, replicate=r) for s, k in ((0.0, 32), (0.9, 64)) for r in (0, 1))))
    half = stats.t.ppf(0.975, 1) * math.hypot(16 / 64, 16 / 32) / math.sqrt(12) / math.sqrt(2)
    assert math.log(found["ratio_high"][0] / 2) == pytest.approx(half)


@pytest.mark.parametrize("finishers", [1, 3, 8])
@pytest.mark.parametrize("times", [2, 4])
def test_rarer_checks_find_what_they_would_have_found_where_it_is_known(finishers: int, times: int) -> None:
    """Against the passages themselves: trials whose checks succeed at random, again and again."""
    generator = np.random.default_rng(finishers)
    known = 0
    for _ in range(200):
        reached = generator.random((8, 400)) < 0.02
        reached[:, -1] = True  # by then at the latest, at a check of every protocol here
        passages = 16 * (1 + reached.argmax(axis=1))
        end = np.sort(passages)[finishers - 1]
        high = np.where(passages <= end, passages, math.inf)
        low = np.where(passages <= end, passages, end + 1)
        k = k_star.first_trials(*k_star.checked_every(low, high, 16, times), 8)
        rare = reached[:, times - 1 :: times]
        truth = 16 * times * (1 + rare.argmax(axis=1)).min()
        assert math.isnan(k) or k == truth
        known += not math.isnan(k)
    assert known > 20
