"""Claims 5 to 8 on made-up results that bear them out, contradict them, or cannot tell."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
from claim_results import FAILS, HOLDS, UNKNOWN, Steps, ends_named, judged, measured, networks, steps, theory, trials
from planted_results import B
from scipy.stats import sem, t


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        ({0: (7.23,) * 4, 0.5: (7.45,) * 4, 0.7: (7.86,) * 4, 0.9: (9.58,) * 4}, HOLDS),
        ({0: (1, 2, 3, 4), 0.5: (1, 1, 1, 1), 0.9: (4, 4, 4, 5)}, FAILS),  # 50% below dense
        ({0: (1, 2, 3, 4), 0.9: (9, 9, 9, 2)}, FAILS),  # not throughout
        ({0: (1, 2, 3, 4), 0.9: (9, 9, 9, 2), 0.99: (20, 20, 20, 20)}, FAILS),  # 99% above dense says nothing of 90%
        ({0: (1, 2, 3, 4), 0.9: (9, 9, 9, 9), 0.99: (20, 20, 20, 2)}, HOLDS),  # 99% not throughout
        ({0: (4, 3, 2, 1), 0.9: (5, 4, 3, 2, 0.1, 0.1)}, HOLDS),  # steps that the dense run lacks do not count
        ({0: (1, 2, 3, 4), 0.9: (9, 9, 9)}, UNKNOWN),
        ({0: (1, 2, 3, 4), 0.5: (9, 9, 9, 9)}, UNKNOWN),
        ({}, UNKNOWN),
    ],
)
def test_5_smoothness(values: dict[float, Sequence[float]], verdict: str) -> None:
    assert judged(5, smoothness=measured(values)).verdict == verdict
    assert judged(5, smoothness=measured(values, b=(64, 256))).verdict == verdict
    assert judged(5, smoothness=measured(values, trials=5, b=(64, 256))).verdict == UNKNOWN  # two batch sizes, one seed


def test_5_says_what_it_is_with_pruned_weights() -> None:
    found = judged(5, smoothness=measured({0: (1, 2, 3, 4), 0.9: (0.8, 1.8, 2.8, 3.8)}))
    assert found.verdict == FAILS
    assert (
        "larger in 0 or more of 10 trials" in found.figures and "with the gradients of pruned weights" in found.figures
    )


def test_5_other_batch_sizes_are_not_compared() -> None:
    apart = [measured({0: (1, 2, 3, 4)}, b=(64,)), measured({0.9: (4, 5, 6, 7)}, b=(256,))]
    assert judged(5, smoothness=pd.concat(apart)).verdict == UNKNOWN


def growing(lr: Steps, boundary: Any = "", space: str = "optimizer.lr=interval(0, 1)") -> pd.DataFrame:
    made = networks(steps(), steps(), space=space)
    b = made["batch_size"]
    edges = b.map(boundary) if callable(boundary) else boundary
    return made.assign(lr=b.map(lr).astype(float), boundary=edges)


@pytest.mark.parametrize(
    ("made", "verdict"),
    [
        (growing(lambda b: 1e-3 * b**0.5), HOLDS),
        (growing(lambda b: 1e-2 * b**-0.5), FAILS),
        (growing(lambda b: 1e-2), UNKNOWN),
        (growing(lambda b: 1e-2 * (1 + b % 7)), UNKNOWN),  # scatter
        (growing(lambda b: 1e-3 * b**0.5, lambda b: "lr" if b > 64 else ""), FAILS),
        (growing(lambda b: 1e-3 * b**0.5, lambda b: "lr" if b > 4096 else ""), HOLDS),  # 2 of 14: chance has 1.4
        (growing(lambda b: 1e-3 * b**0.5, "momentum"), HOLDS),  # the claim is about the learning rate
        (growing(lambda b: 1e-3 * b**0.5, space=""), UNKNOWN),
        (growing(lambda b: 1e-3 * b**0.5, space="optimizer.momentum=interval(0, 1)"), UNKNOWN),
    ],
)
def test_6_learning_rate(made: pd.DataFrame, verdict: str) -> None:
    assert judged(6, studies=made).verdict == verdict
    assert judged(6, studies=made[made["batch_size"] < 8]).verdict == UNKNOWN


@pytest.mark.parametrize("name", ["sparsity", "replicate"])
def test_6_slope_is_that_within_the_curves(name: str) -> None:
    """Studies at larger batches with lower rates hide the growth unless each curve and replicate has its own level."""
    made = growing(lambda b: 1e-3 * b**0.5)
    made = made.assign(
        replicate=(made["sparsity"] > 0).astype(int), **({} if name == "sparsity" else {"sparsity": 0.0})
    )
    made = made[(made["batch_size"] > 64) == (made["replicate"] > 0)]
    made = made.assign(lr=made["lr"] / np.where(made["replicate"] > 0, 1e4, 1))
    one = judged(6, studies=made)
    assert one.verdict == HOLDS and "slope 0.50 (0.50 to 0.50) over 14 means of 14 studies" in one.figures


@pytest.mark.parametrize("other", [{"sparsity": 0.5}, {"goal_error": 0.04}])
def test_6_another_network_with_the_same_best_trials_is_no_new_evidence(other: dict[str, Any]) -> None:
    made = growing(lambda b: 1e-3 * b**0.5 * (1 + b % 7), lambda b: "lr" if b > 2048 else "")
    made = made[made["sparsity"] > 0]
    alone, both = (judged(6, studies=one).figures for one in (made, pd.concat([made, made.assign(**other)])))
    assert "over 14 means of 14 studies; at 3 of 14" in alone and "over 14 means of 28 studies; at 6 of 28" in both
    assert _intervals(alone) == _intervals(both)


def _intervals(figures: str) -> list[str]:
    return re.findall(r"\(.*?\)", figures)


def test_6_a_dense_network_recorded_under_two_criteria_counts_once() -> None:
    made = growing(lambda b: 1e-3 * b**0.5 * (1 + b % 7), lambda b: "lr" if b > 2048 else "")
    again = made[made["sparsity"] == 0].assign(pruning="magnitude")
    assert judged(6, studies=pd.concat([made, again])).figures == judged(6, studies=made).figures


def test_6_a_network_that_reaches_the_goal_at_few_batch_sizes_does_not_shift_the_mean() -> None:
    made = growing(lambda b: 1e-3 * b**0.5)
    sparse = made["sparsity"] > 0
    made = made.assign(lr=made["lr"] * np.where(sparse, 1e-4, 1))[~sparse | (made["batch_size"] > 512)]
    found = judged(6, studies=made)
    assert found.verdict == HOLDS and "slope 0.50 (0.50 to 0.50) over 14 means of 19 studies" in found.figures


def test_6_with_several_replicates_their_slopes_are_what_varies() -> None:
    """However closely the points of a replicate lie to a line: the same trial may win at neighbouring batch sizes."""

    def rising(slope: float) -> Steps:
        return lambda b: 1e-3 * b**slope

    slopes = (0.1, 0.2, 0.9)
    made = pd.concat([growing(rising(slope)).assign(replicate=r) for r, slope in enumerate(slopes)])
    low, high = t.interval(0.95, 2, np.mean(slopes), sem(slopes))
    found = judged(6, studies=made)
    assert found.verdict == UNKNOWN and f"slope 0.40 ({low:.2f} to {high:.2f})" in found.figures


@pytest.mark.parametrize(("freedom", "slope"), [(3, "slope 0.50"), (2, "too few batch sizes for a slope")])
def test_6_a_slope_leaves_degrees_of_freedom(freedom: int, slope: str) -> None:
    made = growing(lambda b: 1e-3 * b**0.5)
    assert slope in judged(6, studies=made[made["batch_size"].isin(B[: freedom + 2])]).figures


WIDE, NARROW = [n / 10 for n in range(1, 21)], [n / 10 for n in range(7, 13)]


@pytest.mark.parametrize(
    ("dense", "sparse", "changed", "verdict"),
    [
        (WIDE, NARROW, {}, HOLDS),
        (NARROW, WIDE, {}, FAILS),
        (WIDE, WIDE[::2], {}, UNKNOWN),  # fewer, but as wide
        (WIDE, NARROW, {"censored": 9}, UNKNOWN),
        (WIDE, NARROW, {"state": "unfinished"}, UNKNOWN),
        (WIDE, NARROW[:5], {}, UNKNOWN),  # too few
    ],
)
def test_7_range(dense: Any, sparse: Any, changed: dict[str, Any], verdict: str) -> None:
    made = networks(steps(), steps(80000, 400), **changed)
    assert judged(7, studies=made, trials=trials(dense, sparse)).verdict == verdict


def test_7_one_trial_at_each_batch_size_has_no_spread() -> None:
    made = trials([], [], B[:8])
    place = made["batch_size"].map({size: n for n, size in enumerate(B[:8], 1)}) * np.where(made["sparsity"] > 0, 2, 1)
    one_each = made.assign(status=np.where(made["trial"] == place, "complete", "incomplete"))
    found = judged(7, studies=networks(steps(), steps(80000, 400), B[:8]), trials=one_each)
    assert found.verdict == UNKNOWN and "too few at the same batch size" in found.figures


def test_7_more_batch_sizes_of_the_same_trials_are_no_new_evidence() -> None:
    """The interval is the same when the same outcomes come again at other batch sizes."""
    found = [
        judged(7, studies=networks(steps(), steps(), b), trials=trials(WIDE, [*NARROW[:5], 1.5], b)).figures
        for b in (B[:1], B)
    ]
    assert found[0].split("spread")[1] == found[1].split("spread")[1]


@pytest.mark.parametrize(
    ("predicted", "spread", "verdict"),
    [
        (2.0, 1.1, HOLDS),
        (2.8, 1.1, UNKNOWN),
        (4.0, 1.1, FAILS),
        (1.0, 1.1, FAILS),
        (2.0, 2.0, UNKNOWN),
        (np.nan, 1.1, UNKNOWN),
        (2.0, np.nan, UNKNOWN),  # without intervals
    ],
)
def test_8_predicted_ratio(predicted: float, spread: float, verdict: str) -> None:
    found = judged(8, theory=theory(**ratios(predicted, spread)))
    assert found.verdict == verdict
    assert np.isnan(predicted) or "with the gradients of pruned weights: 3.00" in found.figures


def ratios(predicted: float, spread: float) -> dict[str, float]:
    """Of theory.csv the ratios of c1, with intervals from a `spread`-th to `spread` times each."""
    columns: dict[str, float] = {}
    for name, value in (("predicted", predicted), ("measured", 2.0), ("predicted_all_weights", 3.0)):
        columns |= {f"c1_ratio_{name}": value} | ends_named(f"c1_ratio_{name}", (value / spread, value * spread))
    return columns


@pytest.mark.parametrize(
    ("name", "end", "quotient"),
    [
        ("measured", {"low": 0.0}, "(at least 0.87)"),
        ("measured", {"high": np.nan}, "(at most 1.14)"),
        ("measured", {"low": 0.0, "high": np.nan}, "(interval unknown)"),
        ("predicted", {"low": 0.0}, "(at most 1.14)"),
        ("predicted", {"high": np.nan}, "(at least 0.87)"),
    ],
)
def test_8_an_open_end_leaves_the_quotient_open(name: str, end: dict[str, float], quotient: str) -> None:
    opened = {f"c1_ratio_{name}_{side}": value for side, value in end.items()}
    found = judged(8, theory=theory(**ratios(2.0, 1.1) | opened))
    assert found.verdict == UNKNOWN and f"predicted over measured 1.00 {quotient};" in found.figures


@pytest.mark.parametrize(
    ("predicted", "end", "verdict"), [(0.5, "high", FAILS), (0.5, "low", UNKNOWN), (8.0, "low", FAILS)]
)
def test_8_an_open_end_contradicts_where_the_other_one_does(predicted: float, end: str, verdict: str) -> None:
    opened = theory(**ratios(predicted, 1.1) | {f"c1_ratio_measured_{end}": np.nan})
    assert judged(8, theory=opened).verdict == verdict
