"""How cases combine to a verdict, how intervals cover, and what the rules say."""

from types import ModuleType

import numpy as np
import pytest
from claim_results import FAILS, HOLDS, UNKNOWN, judged, theory

from dps.analysis.claims import (
    claim,
    critical_batch,
    intervals,
    learning_rate,
    learning_rate_range,
    momentum,
    predicted_ratio,
    smoothness,
    steps_ratio,
    three_regions,
)


@pytest.mark.parametrize(
    ("cases", "verdict"),
    [
        ([True], HOLDS),
        ([False], FAILS),
        ([True, None], UNKNOWN),
        ([True, False], FAILS),
        ([True] * 7 + [False], UNKNOWN),
        ([True] * 43 + [False], HOLDS),
        ([True] * 42 + [False] * 2, HOLDS),
        ([True] * 40 + [False] * 4, FAILS),
        ([True] * 6 + [None] * 2, HOLDS),
        ([True] * 5 + [None] * 3, UNKNOWN),
        ([], UNKNOWN),
    ],
)
def test_one_case_does_not_decide_for_many(cases: list[claim.Case], verdict: str) -> None:
    assert claim.verdict(cases) == verdict


@pytest.mark.parametrize("count", [6, 7, 9, 14, 25])
def test_the_interval_of_a_median_covers_it(count: int) -> None:
    """Of skewed values, 1,000 times: 95% but for the interpolation, and but for the simulation's error."""
    values = np.random.default_rng(count).exponential(size=(1000, count))
    ends = np.array([intervals.median_interval(row) for row in values])
    covered = ((ends[:, 0] <= np.log(2)) & (np.log(2) <= ends[:, 1])).mean()
    assert 0.93 <= covered <= 0.975


@pytest.mark.parametrize(("level", "count"), [(0.5, 3), (0.9, 5), (0.95, 6), (0.99, 8)])
def test_a_median_has_an_interval_from_the_stated_number_of_values_on(level: float, count: int) -> None:
    assert intervals.least_values(level) == count
    assert np.isfinite(intervals.median_interval(range(count), level)).all()
    assert np.isinf(intervals.median_interval(range(count - 1), level)).all()


def test_a_statement_says_its_tolerance(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(critical_batch, "NO_SMALLER", 0.7)
    assert "no smaller than 0.7 times" in judged(3).statement


def test_a_curve_without_an_interval_of_the_exponent_is_said_not_to_be_judged() -> None:
    found = judged(1, theory=theory(exponent_low=np.nan, exponent_high=np.nan))
    assert "2 curves cannot be judged" in found.figures and "with no interval of a, is not judged" in found.rule


@pytest.mark.parametrize(
    ("number", "module", "constant", "value", "text"),
    [
        (1, three_regions, "LINEAR", -0.75, "between 3 times the smallest"),
        (1, three_regions, "FLAT", -0.25, "1 / 3 of the largest"),
        (1, three_regions, "LEAST_EXPONENT", 0.6, "above 0.6"),
        (1, three_regions, "CURVE_BATCH_SIZES", 7, "A curve of 7 batch sizes"),
        (1, three_regions, "CONTRADICTIONS", 5, "p < 0.005"),
        (1, three_regions, "RISING_SIZES", 4, "regression over 4 batch sizes"),
        (1, three_regions, "RISE", 0.25, "exceeds none by a quarter"),
        (1, three_regions, "LEVEL", 0.9, "the 90% interval"),
        (1, claim, "SHARE", 0.25, "more than a quarter of them"),
        (1, claim, "WRONG", 0.01, "at most 0.01"),
        (2, steps_ratio, "CLOSE_CHECKS", 2, "within two check intervals"),
        (2, steps_ratio, "TIMES_LEAST", 1.25, "inside [1.25, 4.5]"),
        (2, steps_ratio, "TIMES_MOST", 5.5, "inside [1.5, 5.5]"),
        (2, steps_ratio, "LEVEL", 0.9, "of 5 or more"),
        (3, critical_batch, "COMPARED_SIZES", 7, "have K*, 7 batch sizes or more"),
        (3, critical_batch, "NO_SMALLER", 0.9, "where the lower end is 0.9 or more"),
        (3, critical_batch, "NO_SMALLER", 0.7, "where the upper end is below 0.7."),
        (4, momentum, "COMPARED_SIZES", 7, "with 7 batch sizes or more at which both have K*"),
        (4, momentum, "TAIL", 0.01, "than the 2.0% that"),
        (5, smoothness, "PARTS", 2, "in each of two equal parts"),
        (5, smoothness, "LEAST_SEEDS", 7, "A workload of 7 trials"),
        (5, smoothness, "TAIL", 0.01, "p at most 0.01)"),
        (6, learning_rate, "DEGREES_OF_FREEDOM", 5, "with 5 degrees of freedom or more"),
        (6, learning_rate, "OUTER_FRACTION", 0.1, "the outer 10% at either end"),
        (6, learning_rate, "BY_CHANCE", 0.2, "the 0.2 that chance"),
        (6, learning_rate, "MOST_AT_EDGE", 0.25, "fewer than a quarter"),
        (6, learning_rate, "TAIL", 0.01, "p < 0.01"),
        (7, learning_rate_range, "LEAST_TRIALS", 7, "takes 7 trial numbers"),
        (8, predicted_ratio, "FACTOR", 2.5, "within a factor of 2.5"),
    ],
)
def test_a_rule_states_the_threshold_it_judges_by(
    monkeypatch: pytest.MonkeyPatch, number: int, module: ModuleType, constant: str, value: float, text: str
) -> None:
    assert text not in judged(number).rule
    monkeypatch.setattr(module, constant, value)
    assert text in judged(number).rule
