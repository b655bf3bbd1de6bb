"""K* of other sets of trials, against brute force."""

import itertools
import math
from collections import Counter

import numpy as np
import pytest
from scipy.stats import norm

from dps.analysis import k_star

INF = math.inf
# Steps of eight trials: four complete, one of them tied with another, two never there, two censored after 48 and 90.
LOW = np.array([64, INF, 48 + 1, 100, 64, INF, 90 + 1, 200])
HIGH = np.array([64, INF, INF, 100, 64, INF, INF, 200])


# The ranks that enclose the median of the best of m of 100 trials, from tables of the binomial distribution.
@pytest.mark.parametrize(("trials", "ranks"), [(5, (7, 13, 21)), (10, (2, 7, 13)), (25, (0, 3, 7))])
def test_two_trials_in_their_order_enclose_the_best_of_fewer(trials: int, ranks: tuple[int, int, int]) -> None:
    first, middle, last = ranks
    steps = np.random.default_rng(0).permutation(np.arange(1.0, 101))  # the steps of a trial are its rank
    found = k_star.best_of(steps, steps, trials)
    assert found[0] == middle and found[2] == last
    assert found[1] == first if first else math.isnan(found[1])


@pytest.mark.parametrize("finishers", [1, 7, 12, 13, 21])
def test_a_race_to_the_rth_gives_what_its_finishers_decide(finishers: int) -> None:
    steps = np.random.default_rng(1).permutation(np.arange(1.0, 101))
    low, high = np.where(steps <= finishers, steps, finishers + 1), np.where(steps <= finishers, steps, INF)
    for trials in k_star.BEST_OF:
        for value, whole in zip(k_star.best_of(low, high, trials), k_star.best_of(steps, steps, trials), strict=True):
            assert value == whole if whole <= finishers else math.isnan(value)


def test_what_too_few_reach_and_a_search_as_large_as_the_study_are_unknown() -> None:
    steps = np.array([16.0, 32, 48, *[INF] * 97])
    assert np.isnan(k_star.best_of(steps, steps, 5)).all()
    assert k_star.best_of(steps, steps, 25)[0] == 48
    assert np.isnan(k_star.best_of(steps, steps, 100)).all()


@pytest.mark.parametrize(("count", "trials"), [(100, 5), (100, 10), (50, 5), (100, 25)])
def test_the_interval_of_a_smaller_search_covers_its_median(count: int, trials: int) -> None:
    generator = np.random.default_rng(2)
    truth = math.exp(6 + 0.8 * norm.ppf(1 - 2 ** (-1 / trials)))  # trials take log-normal numbers of steps
    covered = []
    for _ in range(2000):
        steps = np.exp(6 + 0.8 * generator.standard_normal(count))
        _, low, high = k_star.best_of(steps, steps, trials)
        covered.append((math.isnan(low) or low <= truth) and truth <= high)
    assert np.mean(covered) >= 0.94  # 0.95 but for what 2,000 searches leave to chance


def subsets(budget: int) -> Counter[float]:
    """K* of every subset, nan where what the censored trials would have done decides it."""
    found: Counter[float] = Counter()
    for chosen in itertools.combinations(range(len(LOW)), budget):
        least, most = LOW[list(chosen)].min(), HIGH[list(chosen)].min()
        found[float(most) if least == most else -1.0] += 1
    return found


@pytest.mark.parametrize("budget", range(1, 9))
def test_budget_equals_all_subsets(budget: int) -> None:
    counts = subsets(budget)
    total = math.comb(8, budget)
    expected = {steps: count / total for steps, count in counts.items() if steps >= 0}
    found = k_star.budget_distribution(LOW, HIGH, budget)
    assert found == pytest.approx(expected)
    assert 1 - sum(found.values()) == pytest.approx(counts[-1.0] / total)


def test_a_larger_budget_is_never_worse() -> None:
    row = np.random.default_rng(2).permutation(np.r_[np.arange(16, 16 * 40, 16), [INF] * 20]).astype(float)
    reached = [
        np.cumsum([k_star.budget_distribution(row, row, n).get(k, 0) for k in np.unique(row)]) for n in (1, 25, 50)
    ]
    assert (reached[1] >= reached[0] - 1e-12).all() and (reached[2] >= reached[1] - 1e-12).all()
    first = [k_star.first_trials(row, row, n) for n in range(1, len(row) + 1)]
    assert first == np.minimum.accumulate(row).tolist()
    assert k_star.budget_distribution(row, row, len(row)) == {16: 1}


def test_first_trials_know_what_they_do_not_know() -> None:
    found = [k_star.first_trials(LOW, HIGH, n) for n in range(1, 9)]
    assert found[:2] == [64, 64] and np.isnan(found[2:]).all()  # the third may have taken 49 steps
    assert k_star.first_trials([INF, 65], [INF, INF], 1) == INF
    with pytest.raises(ValueError, match="a budget of 9 trials must be from 1 to the study's 8"):
        k_star.first_trials(LOW, HIGH, 9)
