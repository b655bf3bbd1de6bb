"""Each claim on made-up grids that bear it out, contradict it, or cannot tell."""

from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest

from dps.analysis.claims import causes, curves
from dps.analysis.claims.judge import Claim, judge
from dps.analysis.results import Results

B = tuple(2**n for n in range(1, 15))
HOLDS, FAILS, UNKNOWN = "holds", "does not hold", "not enough data"
Curve = Callable[[float], float]


def curve(c1: float, c2: float) -> Curve:
    """K* = c1 / B + c2, found at the next of the checks that come every 16 steps."""
    return lambda b: 16 * np.ceil((c1 / b + c2) / 16)


SEARCHED = "optimizer.lr=interval(0, 1)"
DENSE, SPARSE = curve(2e4, 100), curve(6e4, 200)


def studies(dense: Curve, sparse: Curve | None, b: Sequence[int] = B, **changed: Any) -> pd.DataFrame:
    """A finished study for each batch size, dense and 90% sparse; a callable in `changed` is a function of B."""
    common: dict[str, Any] = {"workload": "w", "dataset": "mnist", "model": "cnn", "optimizer": "momentum"}
    common |= {
        "lr_schedule": "constant",
        "pruning": "snip",
        "goal_error": 0.02,
        "interval_steps": 16,
        "max_steps": 40000,
        "censored": 0,
        "state": "finished",
    }
    common |= {"lr": lambda b: 1e-3 * b**0.5, "boundary": "", "space": SEARCHED, **changed}
    rows = [
        common
        | {name: value(size) for name, value in common.items() if callable(value)}
        | {"batch_size": size, "sparsity": sparsity, "steps_to_result": steps(size)}
        for sparsity, steps in ((0.0, dense), (0.9, sparse))
        if steps is not None
        for size in b
    ]
    return pd.DataFrame(rows).astype({"batch_size": "Int64", "steps_to_result": "Int64"})


def theory(**columns: Sequence[Any] | np.ndarray) -> pd.DataFrame:
    """A dense row and a 90% sparse row of one workload, or more of them, with these columns."""
    count = len(next(iter(columns.values()), ()))
    rows = {"workload": ["w"] * count, "goal_error": [0.02] * count, "pruning": ["snip"] * count}
    rows |= {"sparsity": [0.0, 0.9] * (count // 2)}
    numbers: tuple[str, ...] = ("critical_batch_size", "critical_low", "critical_high")
    numbers += ("c1_ratio_predicted", "c1_ratio_measured", "c1_ratio_predicted_all_weights")
    return pd.DataFrame({**rows, **{name: [np.nan] * count for name in numbers}, **columns})


def smoothness(values: dict[float, Sequence[float]], b: Sequence[int] = (64,)) -> pd.DataFrame:
    """L of two trials around these values at steps 100, 200, ..., by sparsity; at step 0 it would refute the claim."""
    names = {"workload": "w", "dataset": "mnist", "model": "cnn", "optimizer": "sgd", "lr_schedule": "constant"}
    names["pruning"] = "snip"
    rows = [
        names | {"batch_size": size, "sparsity": sparsity, "trial": trial, "step": 100 * step, "L": L}
        for sparsity, row in values.items()
        for size in b
        for trial in (0, 1)
        for step, L in enumerate([1e6 * (1 - sparsity), *row])
    ]
    frame = pd.DataFrame(rows, columns=[*names, "batch_size", "sparsity", "trial", "step", "L"])
    one = frame.pop("L") * np.where(frame["trial"] == 0, 0.9, 1.1)
    return frame.assign(smoothness=one, smoothness_all_weights=one * np.where(frame["sparsity"] > 0, 2, 1))


def trials(dense: Sequence[float], sparse: Sequence[float], b: Sequence[int]) -> pd.DataFrame:
    """Trials that completed with these learning rates, and one at 1 that did not, at each batch size."""
    rows = [
        {"sparsity": sparsity, "lr": lr, "batch_size": size, "status": "incomplete" if lr == 1 else "complete"}
        for sparsity, rates in ((0.0, dense), (0.9, sparse))
        for lr in [*rates, 1]
        for size in b
    ]
    return pd.DataFrame(rows).assign(workload="w", goal_error=0.02, pruning="snip")


def claim(number: int, **frames: pd.DataFrame) -> Claim:
    given = {"studies": studies(DENSE, SPARSE), "trials": trials([], [], B), "smoothness": smoothness({})}
    given |= {
        "theory": theory(),
        "budgets": pd.DataFrame(),
        "noise": pd.DataFrame(),
        "losses": pd.DataFrame(),
        **frames,
    }
    found = judge(Results(**given, missing=[]))
    assert [one.number for one in found] == list(range(1, 9))
    one = found[number - 1]
    assert all((one.statement, one.figures, one.rule)) and "nan" not in one.figures
    return one


@pytest.mark.parametrize(
    ("dense", "b", "verdict"),
    [
        (DENSE, B, HOLDS),
        (curve(2e5, 16), B, UNKNOWN),  # levels off within two check intervals
        (curve(2e6, 100), B, FAILS),  # no plateau in a factor of 8192
        (curve(100, 500), B, FAILS),  # no linear scaling
        (DENSE, B[:6], UNKNOWN),  # no plateau yet
        (DENSE, B[:3], UNKNOWN),
        (lambda b: 16 * b, B[:6], FAILS),  # rises
        (lambda b: 16 * np.ceil(1e3 / b**0.5), B, FAILS),  # one slope all along
        (lambda b: 16 * np.ceil(1e3 * b**-0.6 + 20), B, FAILS),  # levels off, but is never linear
        (
            lambda b: 16 * np.ceil(2e6 / b * (min(max(b, 8), 64) / 8) ** -1.5 + 60),
            B,
            FAILS,
        ),  # steepens, then levels off
        (lambda b: DENSE(b) + 16 * (b % 3 == 1), B, HOLDS),  # one check later here and there
    ],
)
def test_1_three_regions(dense: Curve, b: Sequence[int], verdict: str) -> None:
    assert claim(1, studies=studies(dense, None, b)).verdict == verdict


def test_1_one_curve_against_it_is_enough_and_running_studies_do_not_count() -> None:
    against = studies(DENSE, curve(2e6, 100))
    one = claim(1, studies=against)
    assert one.verdict == FAILS and one.figures.startswith(
        "1 of 2 curves bear it out, 1 contradict it; initial slopes -"
    )
    against.loc[against["sparsity"] > 0, "state"] = "running"
    assert claim(1, studies=against).verdict == HOLDS


@pytest.mark.parametrize(
    ("dense", "sparse", "b", "verdict"),
    [
        (DENSE, SPARSE, B, HOLDS),
        (DENSE, curve(2.2e4, 110), B, FAILS),
        (DENSE, lambda b: 6 * DENSE(b), B, FAILS),
        (DENSE, lambda b: DENSE(b) * (6 if b == 2 else 2), B, HOLDS),  # 13 of 14
        (lambda b: 100, lambda b: 464, B, HOLDS),  # 464 may be 449
        (DENSE, SPARSE, B[:2], UNKNOWN),
        (DENSE, None, B, UNKNOWN),
        (DENSE, lambda b: None if b >= 64 else SPARSE(b), B, FAILS),  # the budget alone is more than 4.5 times
        (DENSE, lambda b: None if b == 2 else SPARSE(b), B, HOLDS),  # 40,000 is not 4.5 times 10,112: cannot tell
        (lambda b: 32, lambda b: 320, B, UNKNOWN),  # too close to the check interval
    ],
)
def test_2_sparse_takes_longer(dense: Curve, sparse: Curve | None, b: Sequence[int], verdict: str) -> None:
    assert claim(2, studies=studies(dense, sparse, b)).verdict == verdict


@pytest.mark.parametrize(
    ("critical", "low", "high", "verdict"),
    [
        ((512, 2048), (400, 1500), (700, 3000), HOLDS),
        ((512, 512), (400, 400), (700, 700), HOLDS),
        ((2048, 512), (1500, 400), (3000, 700), FAILS),
        ((2048, 1800), (1500, 1600), (3000, 2000), UNKNOWN),
        ((2048, 512), (np.nan,) * 2, (np.nan,) * 2, UNKNOWN),
        ((512, np.nan), (400, 9000), (700, np.nan), HOLDS),  # levels off later than was measured
        ((np.nan, 512), (400, 400), (np.nan, 700), UNKNOWN),
    ],
)
def test_3_critical_batch(critical: Any, low: Any, high: Any, verdict: str) -> None:
    table = theory(critical_batch_size=critical, critical_low=low, critical_high=high)
    assert claim(3, theory=table).verdict == verdict
    assert claim(3, theory=table, studies=studies(DENSE, SPARSE, optimizer="sgd")).verdict == UNKNOWN


@pytest.mark.parametrize(
    ("momentum", "critical", "b", "verdict"),
    [
        (curve(2e4, 100), 200, B, HOLDS),
        (curve(2e4, 1000), 200, B, FAILS),  # needs more steps
        (curve(2e4, 100), 10, B, FAILS),  # smaller critical batch size
        (curve(2e4, 100), 45, B, UNKNOWN),  # hardly smaller
        (curve(2e4, 100), 200, B[:4], UNKNOWN),  # no batch is as large as SGD's critical one
        (curve(2e4, 400), 200, B, UNKNOWN),  # as many steps
    ],
)
def test_4_momentum_against_sgd(momentum: Curve, critical: float, b: Sequence[int], verdict: str) -> None:
    both = [studies(momentum, None, b), studies(curve(2e4, 400), None, b, optimizer="sgd", workload="s")]
    found = np.array([critical, 50])
    table = theory(critical_batch_size=found, critical_low=0.8 * found, critical_high=1.2 * found)
    table["workload"], table["sparsity"] = ["w", "s"], 0.0
    assert claim(4, studies=pd.concat(both), theory=table).verdict == verdict
    assert claim(4, studies=both[0], theory=table[:1]).verdict == UNKNOWN


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        ({0: [1, 2, 3], 0.5: [2, 2, 3], 0.9: [4, 4, 4]}, HOLDS),
        ({0: [1, 2, 3], 0.5: [2, 1, 1], 0.9: [4, 4, 4]}, FAILS),  # 50% below dense
        ({0: [1, 2, 3], 0.9: [9, 9, 2]}, FAILS),  # not throughout
        ({0: [3, 2, 1], 0.9: [4, 3, 2, 0, 0, 0, 0]}, HOLDS),  # steps that the dense run lacks do not count
        ({0: [1, 2, 3], 0.9: [9, 9]}, UNKNOWN),
        ({0: [1, 2, 3], 0.9: [9, np.nan, 9]}, UNKNOWN),
        ({0: [1, 2, 3], 0.5: [np.nan] * 3, 0.9: [4, 4, 4]}, HOLDS),  # every trial at 50% diverged
        ({0: [1, 2, 3], 0.5: [9, 9, 9]}, UNKNOWN),
        ({}, UNKNOWN),
    ],
)
def test_5_smoothness(values: dict[float, Sequence[float]], verdict: str) -> None:
    assert claim(5, smoothness=smoothness(values)).verdict == verdict


def test_5_says_what_it_is_with_pruned_weights_and_judges_without() -> None:
    found = claim(5, smoothness=smoothness({0: [1, 2, 3], 0.9: [0.8, 1.8, 2.8]}))
    assert found.verdict == FAILS
    assert "w: 2 at sparsity 0, 1.8 at sparsity 0.9, 90% above dense at 0% of the steps" in found.figures
    assert "weights: 2 at sparsity 0, 3.6 at sparsity 0.9, 90% above dense at 100% of the steps" in found.figures


def test_5_other_batch_sizes_are_not_compared() -> None:
    apart = [smoothness({0: [1, 2, 3]}, (64,)), smoothness({0.9: [4, 5, 6]}, (256,))]
    assert claim(5, smoothness=pd.concat(apart)).verdict == UNKNOWN


@pytest.mark.parametrize(
    ("lr", "boundary", "space", "verdict"),
    [
        (lambda b: 1e-3 * b**0.5, "", SEARCHED, HOLDS),
        (lambda b: 1e-2 * b**-0.5, "", SEARCHED, FAILS),
        (lambda b: 1e-3 * b**0.5, lambda b: "lr" if b > 64 else "", SEARCHED, FAILS),
        (lambda b: 1e-3 * b**0.5, lambda b: "lr" if b > 8192 else "", SEARCHED, HOLDS),  # 2 of 28
        (lambda b: 1e-3 * b**0.5, lambda b: "lr" if b > 2048 else "", SEARCHED, HOLDS),  # 6 of 28: chance has 2.8
        (lambda b: 1e-3 * b**0.5, "momentum", SEARCHED, HOLDS),  # the claim is about the learning rate
        (lambda b: 1e-3 * b**0.5, "", "", UNKNOWN),
        (lambda b: 1e-3 * b**0.5, "", "optimizer.momentum=interval(0, 1)", UNKNOWN),
        (lambda b: 1e-2 * (1 + b % 7), "", SEARCHED, UNKNOWN),  # scatter
    ],
)
def test_6_learning_rate(lr: Curve, boundary: Any, space: str, verdict: str) -> None:
    made = studies(DENSE, SPARSE, lr=lr, boundary=boundary, space=space)
    assert claim(6, studies=made).verdict == verdict
    assert claim(6, studies=made[made["batch_size"] < 8]).verdict == UNKNOWN


def test_6_slope_is_that_within_the_curves() -> None:
    """Sparse studies at larger batches with lower rates hide the growth unless each curve has its own level."""
    made = studies(DENSE, SPARSE)
    made = made[(made["batch_size"] > 64) == (made["sparsity"] > 0)]
    made.loc[made["sparsity"] > 0, "lr"] /= 1e4
    one = claim(6, studies=made)
    assert one.verdict == HOLDS and "slope 0.50 over 14 studies" in one.figures


@pytest.mark.parametrize(
    ("dense", "sparse", "b", "changed", "verdict"),
    [
        ((1e-3, 1e-2, 1e-1), (1e-3, 1e-2), B, {}, HOLDS),
        ((1e-3, 1e-2, 1e-1), (1e-2,), B, {}, HOLDS),
        ((1e-3, 1e-2), (1e-3, 1e-2, 1e-1), B, {}, FAILS),
        ((1e-3, 1e-2), (1e-2, 1e-3), B, {}, FAILS),
        ((1e-3, 1e-2, 1e-1), (1e-3, 1e-2), B, {"censored": 9}, UNKNOWN),
        ((1e-3, 1e-2, 1e-1), (1e-3, 1e-2), B[:2], {}, UNKNOWN),
        ((1e-3,), (1e-3,), B, {}, UNKNOWN),
    ],
)
def test_7_range(dense: Any, sparse: Any, b: Sequence[int], changed: dict[str, int], verdict: str) -> None:
    made = studies(DENSE, SPARSE, b, **changed)
    assert claim(7, studies=made, trials=trials(dense, sparse, b)).verdict == verdict


@pytest.mark.parametrize(
    ("predicted", "measured", "verdict"),
    [
        (1.67, 2.4, HOLDS),
        (2.4, 1.67, HOLDS),
        (1.67, 2.6, FAILS),
        (2.6, 1.67, FAILS),
        (np.nan, 2, UNKNOWN),
        (2, np.nan, UNKNOWN),
    ],
)
def test_8_predicted_ratio(predicted: float, measured: float, verdict: str) -> None:
    table = theory(c1_ratio_predicted=[1, predicted], c1_ratio_measured=[1, measured])
    table["c1_ratio_predicted_all_weights"] = [1, 1.25]
    found = claim(8, theory=table)
    assert found.verdict == verdict and "with the gradients of pruned weights: 1.25 predicted" in found.figures


@pytest.mark.parametrize(
    ("number", "module", "constant", "value", "text"),
    [
        (1, curves, "LINEAR", -0.75, "at most -0.75 from the smallest"),
        (1, curves, "FLAT", -0.15, "at least -0.15 from one"),
        (1, curves, "SLOPE_TOLERANCE", 0.35, "by more than 0.35."),
        (1, curves, "REGION", 5, "at least 5 times as large, at least -0.2 from one at most 0.2 of the largest"),
        (1, curves, "CURVE_BATCH_SIZES", 5, "of fewer than 5 batch sizes"),
        (1, curves, "CURVE_FACTOR", 32, "less than a factor of 32,"),
        (1, curves, "LONG_FACTOR", 512, "from a factor of 512 on"),
        (1, curves, "RISE", 0.25, "rises by a quarter with"),
        (1, curves, "CLOSE_CHECKS", 3, "within 3 check intervals"),
        (2, curves, "CLOSE_CHECKS", 3, "beyond 3 check intervals"),
        (2, curves, "TIMES_LEAST", 1.25, "in [1.25, 4.5]"),
        (2, curves, "TIMES_MOST", 5.5, "more than 5.5 times"),
        (2, curves, "SHARE_WITHIN", 0.8, "at 80% of them"),
        (2, curves, "LEAST_PAIRS", 5, "; 5 or more, dense"),
        (3, curves, "LEAST_BATCH_SIZES", 5, "fewer than 5 batch sizes"),
        (3, curves, "LEVEL", 0.9, "the 90% intervals"),
        (4, curves, "SHARE_HIGHER", 0.25, "higher at a quarter of them"),
        (5, causes, "SHARE_ABOVE", 0.99, "at 99% or more of the steps"),
        (5, causes, "LEAST_PAIRS", 5, "in common, 5 or more"),
        (6, causes, "SLOPE_BATCH_SIZES", 5, "all curves of 5 or more"),
        (6, causes, "LEAST_STUDIES", 5, "best trials, 5 or more"),
        (6, causes, "OUTER_FRACTION", 0.1, "the outer 10% at either end"),
        (6, causes, "BY_CHANCE", 0.2, "the 0.2 that chance"),
        (6, causes, "P_VALUE", 0.01, "p < 0.01"),
        (7, causes, "SHARE_NARROWER", 0.5, "at 50% or more of the batch sizes"),
        (7, causes, "RANGE_TRIALS", 3, "have 3 complete dense trials"),
        (8, causes, "FACTOR", 2.5, "within a factor of 2.5"),
    ],
)
def test_a_rule_states_the_threshold_it_judges_by(
    monkeypatch: pytest.MonkeyPatch, number: int, module: ModuleType, constant: str, value: float, text: str
) -> None:
    assert text not in claim(number).rule
    monkeypatch.setattr(module, constant, value)
    assert text in claim(number).rule
