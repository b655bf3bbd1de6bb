"""Claims 1 to 4 on made-up results that bear them out, contradict them, or cannot tell."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
from claim_results import FAILS, HOLDS, UNKNOWN, Steps, ends_named, judged, networks, rows, steps, theory
from planted_results import B

from dps.analysis.claims.intervals import t_interval, typical


@pytest.mark.parametrize(
    ("critical", "exponent", "of", "verdict"),
    [
        ((100, 400), (0.8, 1.3), steps(), HOLDS),
        ((9, 4000), (0.8, np.inf), steps(), HOLDS),
        ((7, 4096), (0.8, 1.3), steps(), UNKNOWN),  # may not be linear at B = 2
        ((100, np.nan), (0.8, 1.3), steps(), UNKNOWN),  # may not be flat at B = 16,384
        ((100, 400), (0.4, 1.3), steps(), UNKNOWN),
        ((100, 400), (0.2, 0.45), steps(), FAILS),  # too gradual
        ((100, 400), (0.8, 1.3), lambda b: 16 * np.ceil((40000 / b + 200 + b / 8) / 16), FAILS),  # rises in the end
        ((100, 400), (np.nan, np.nan), steps(), UNKNOWN),
    ],
)
def test_1_three_regions(critical: Any, exponent: Any, of: Steps, verdict: str) -> None:
    table = theory(**ends_named("critical", critical), **ends_named("exponent", exponent))
    assert judged(1, studies=networks(of, of), theory=table).verdict == verdict
    assert judged(1, studies=networks(of, of, B[:4]), theory=table.assign(batch_sizes=4)).verdict == UNKNOWN


def test_1_a_slow_replicate_that_alone_has_the_largest_batch_sizes_is_no_rise() -> None:
    of = [
        networks(steps(40000 * level, 400 * level), steps(80000 * level, 800 * level), b).assign(replicate=r)
        for r, (level, b) in enumerate(((3, B), (1, B[:-2]), (0.4, B[:-2])))
    ]
    table = theory(**ends_named("critical", (100, 400)), **ends_named("exponent", (0.8, 1.3)))
    assert judged(1, studies=pd.concat(of), theory=table).verdict == HOLDS


@pytest.mark.parametrize("b", [B, B[:4]])
def test_1_a_dense_curve_recorded_under_two_criteria_counts_once(b: Sequence[int]) -> None:
    """As that of the most batch sizes: with few of them it could not be judged."""
    sets = [networks(steps(), steps(80000, 400), size, pruning=name) for size, name in ((b, "grasp"), (B, "snip"))]
    ends = ends_named("critical", (100, 400))
    tables = [theory(**ends, pruning=name, batch_sizes=len(size)) for size, name in ((b, "grasp"), (B, "snip"))]
    found = judged(1, studies=pd.concat(sets), theory=pd.concat(tables))
    assert found.figures.startswith("2 of 2 curves bear it out; ") and "; 0 curves cannot be judged" in found.figures


@pytest.mark.parametrize(
    ("of", "sparse", "count", "verdict"),
    [
        (steps(), steps(80000, 400), 1, HOLDS),
        (steps(), steps(80000, 400), 3, HOLDS),
        (steps(), steps(44000, 220), 1, FAILS),
        (steps(), lambda b: 6 * steps()(b), 2, FAILS),  # type: ignore[operator]
        (steps(), lambda b: (6 if b == 2 else 2) * steps()(b), 1, HOLDS),  # type: ignore[operator]
        (steps(), lambda b: (1 if b < 200 else 3) * steps()(b), 1, UNKNOWN),  # type: ignore[operator]
        (steps(), lambda b: None if b < 100 else steps(80000, 400)(b), 1, UNKNOWN),  # twice or more
        (steps(4000, 200), lambda b: None, 1, FAILS),  # 40,000 steps are at least 18 times as many
        (steps(), lambda b: None if b == 2 else steps(80000, 400)(b), 1, HOLDS),
        (lambda b: 48, lambda b: 480, 1, UNKNOWN),  # too close to the check interval
    ],
)
def test_2_steps(of: Steps, sparse: Steps, count: int, verdict: str) -> None:
    assert judged(2, studies=networks(of, sparse, replicates=count)).verdict == verdict
    assert judged(2, studies=rows(of)).verdict == UNKNOWN


def test_2_replicates_are_the_units_and_the_networks_are_paired_by_them() -> None:
    """Effects of a replicate on both networks cancel; batch sizes of one replicate do not vote apart."""
    both = [networks(steps(0, 800 * f), steps(0, 1600 * f)).assign(replicate=r) for r, f in enumerate((1, 4))]
    assert judged(2, studies=pd.concat(both)).verdict == HOLDS
    apart = [networks(steps(0, 800), steps(0, 800 * f)).assign(replicate=r) for r, f in enumerate((2, 4))]
    assert judged(2, studies=pd.concat(apart)).verdict == UNKNOWN


def test_2_the_number_is_that_of_its_interval() -> None:
    """The geometric mean of the replicates' medians, also where they have different numbers of batch sizes."""
    of = [
        networks(steps(0, 800), steps(0, sparse), b).assign(replicate=replicate)
        for replicate, (sparse, b) in enumerate(((1600, B), (3200, B[:3])))
    ]
    assert f"w, goal 0.02: {math.sqrt(1592 * 3192) / 792:.2f} (" in judged(2, studies=pd.concat(of)).figures
    assert f"w, goal 0.02: {1592 / 792:.2f} (" in judged(2, studies=of[0]).figures


def test_2_an_unknown_ratio_of_one_replicate_widens_both_ends() -> None:
    """The budget in its place would have them closer together than any K* that it may stand for."""
    b = (64,)
    seen, least = networks(lambda _: 400, lambda _: 1936, b), networks(lambda _: 400, lambda _: None, b, max_steps=2000)
    found = judged(2, studies=pd.concat([seen, *(least.assign(replicate=r) for r in (1, 2))]))
    assert found.verdict == UNKNOWN and "goal 0.02: unknown over 3 pairs" in found.figures
    medians = [[math.log(ratio) for ratio in (2, 2.1, third)] for third in (2.2, 4)]
    lows, highs = zip(*(t_interval(one) for one in medians), strict=True)
    bounds = typical(medians[0], medians[1], (0, 1, 2))[1:]
    assert lows[1] < lows[0] and bounds == (lows[1], highs[1])


def test_2_a_workload_is_one_case_whatever_pruned_it() -> None:
    """Several criteria share its dense network, its data and its points; it is judged by SNIP's, as the study was."""
    own = networks(steps(), steps(100000, 500))
    other = [networks(steps(), steps(4e6, 20000)).assign(pruning=name) for name in ("random", "grasp")]
    found = judged(2, studies=pd.concat([*other, own]))
    assert found.verdict == HOLDS and found.figures.startswith("1 of 1 workloads that can be judged bear it out; ")
    assert found.figures.count("; w, ") == 1 and "; w, goal 0.02: 2.5" in found.figures


def test_2_no_number_is_given_where_the_median_is_beyond_the_budget() -> None:
    assert "goal 0.02: (at least " in judged(2, studies=networks(steps(4000, 200), lambda b: None)).figures


@pytest.mark.parametrize(
    ("low", "high", "verdict", "words"),
    [
        (1.1, 3.0, HOLDS, "larger"),
        (0.85, 3.0, HOLDS, "no smaller"),
        (0.7, 3.0, UNKNOWN, "not told apart"),
        (0.85, 0.95, HOLDS, ", smaller"),
        (0.7, 0.95, UNKNOWN, ", smaller"),
        (0.5, 0.7, FAILS, ", smaller"),
        (1.1, np.nan, HOLDS, "larger"),
        (np.nan, 0.5, FAILS, ", smaller"),
        (np.nan, np.nan, UNKNOWN, ""),
    ],
)
def test_3_critical_batch(low: float, high: float, verdict: str, words: str) -> None:
    table = theory(critical_ratio=1, **ends_named("critical_ratio", (low, high)))
    found = judged(3, theory=table)
    assert found.verdict == verdict and words in found.figures
    assert judged(3, theory=table.assign(compared_batch_sizes=4)).verdict == UNKNOWN
    assert judged(3, theory=table, studies=networks(steps(), steps(), optimizer="sgd")).verdict == UNKNOWN


def test_3_the_dense_curve_is_that_of_the_sparse_ones_criterion() -> None:
    """The ratio is to that one, and not to the same network recorded with another criterion."""
    table = theory(critical_ratio=2, **ends_named("critical_ratio", (1.1, 3.0)), critical_batch_size=[100.0, 200.0])
    other = table[table["sparsity"] == 0].assign(pruning="grasp", critical_batch_size=7.0)
    found = judged(3, theory=pd.concat([other, table]))
    assert found.verdict == HOLDS and "200 (interval unknown) sparse, 100 (interval unknown) dense" in found.figures


def test_3_a_critical_batch_size_without_end_is_at_least_what_its_interval_says() -> None:
    table = theory(critical_ratio=math.inf, **ends_named("critical_ratio", (1.1, math.inf)))
    assert ", ratio (at least 1.10), larger" in judged(3, theory=table).figures


@pytest.mark.parametrize(
    ("of", "verdict"),
    [
        (steps(80000, 200), HOLDS),
        (steps(80000, 1600), FAILS),  # needs more steps
        (steps(4000, 200), FAILS),  # smaller critical batch size
        (steps(40000, 400), UNKNOWN),
    ],
)
def test_4_momentum_against_sgd(of: Steps, verdict: str) -> None:
    both = [rows(of), rows(steps(40000, 400), optimizer="sgd", workload="s")]
    table = theory(critical_batch_size=[200.0, 100.0], workload=["w", "s"]).assign(sparsity=0.0)
    assert judged(4, studies=pd.concat(both), theory=table).verdict == verdict
    assert judged(4, studies=both[0], theory=table[:1]).verdict == UNKNOWN
    four = [both[0][both[0]["batch_size"].isin(B[:9])], both[1][both[1]["batch_size"].isin(B[5:])]]
    assert judged(4, studies=pd.concat(four), theory=table).figures.startswith("there are no curves")


def test_4_a_goal_that_was_never_reached_leaves_the_ratio_of_steps_unknown() -> None:
    own = rows(lambda b: None if b == B[-1] else steps(80000, 200)(b))
    table = theory(critical_batch_size=[200.0, 100.0], workload=["w", "s"]).assign(sparsity=0.0)
    found = judged(4, studies=pd.concat([own, rows(steps(40000, 400), optimizer="sgd", workload="s")]), theory=table)
    assert found.verdict == UNKNOWN and "of K* at large batches unknown" in found.figures


def test_4_the_ratio_of_steps_is_that_of_its_interval() -> None:
    """The mean over replicates of their means, also where they have different numbers of batch sizes."""
    sgd = rows(steps(40000, 400), optimizer="sgd", workload="s", replicates=2)
    own = [rows(steps(80000, 204)), rows(steps(80000, 396), B[:-1]).assign(replicate=1)]
    table = theory(critical_batch_size=[200.0, 4096.0], workload=["w", "s"]).assign(sparsity=0.0)
    found = judged(4, studies=pd.concat([*own, sgd]), theory=table)
    assert f"of K* at large batches {math.sqrt(216 * 408) / 408:.2f} (" in found.figures


@pytest.mark.parametrize("criteria", [(("snip", "grasp"), ("snip", "grasp")), (("snip",), ("grasp",))])
def test_4_a_dense_curve_counts_once_under_any_criterion(criteria: tuple[Sequence[str], Sequence[str]]) -> None:
    """Recorded under two by both optimizers, or under another by each."""
    own, sgd = rows(steps(80000, 200)), rows(steps(40000, 400), optimizer="sgd", workload="s")
    dense = theory(critical_batch_size=[200.0, 100.0], workload=["w", "s"]).assign(sparsity=0.0)
    both = [(own, dense[:1], criteria[0]), (sgd, dense[1:], criteria[1])]
    studies = [frame.assign(pruning=name) for frame, _, names in both for name in names]
    table = [row.assign(pruning=name) for _, row, names in both for name in names]
    found = judged(4, studies=pd.concat(studies), theory=pd.concat(table))
    assert found.verdict == HOLDS and found.figures.startswith("1 of 1 curves with an SGD counterpart bear it out; ")
    assert found.figures.count("w, goal 0.02, sparsity 0") == 1


def test_4_sparse_curves_are_paired_by_their_criterion() -> None:
    own, sgd = rows(steps(80000, 200)), rows(steps(40000, 400), optimizer="sgd", workload="s")
    table = theory(critical_batch_size=[200.0, 100.0], workload=["w", "s"]).assign(sparsity=0.9)
    studies = pd.concat([own, sgd]).assign(sparsity=0.9)
    assert judged(4, studies=studies, theory=table).verdict == HOLDS
    other = {"pruning": np.where(studies["workload"] == "s", "grasp", "snip")}
    assert judged(4, studies=studies.assign(**other), theory=table.assign(pruning=["snip", "grasp"])).verdict == UNKNOWN
