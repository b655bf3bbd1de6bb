"""Claims 1 to 4: what the curves of K* against the batch size look like."""

from __future__ import annotations

import numpy as np
import pandas as pd

from dps.analysis.claims.claim import (
    CURVE,
    PLACE,
    Case,
    Claim,
    all_of,
    finished,
    larger,
    span,
    sparse_and_dense,
    tally,
    verdict,
)
from dps.analysis.studies import Results

MOMENTUM = ("momentum", "nesterov")


def three_regions(results: Results) -> Claim:
    """Claim 1, by the slopes of log K* against log B at both ends of each curve (Figure 1)."""
    curves = [_slopes(curve) for _, curve in finished(results.studies).groupby(CURVE)]
    cases = [case for case, _ in curves]
    slopes = [pair for _, pair in curves if pair]
    numbers = ""
    if slopes:
        first, last = zip(*slopes, strict=True)
        numbers = f"; initial slopes {span(first)}, final slopes {span(last)}"
    return Claim(
        1,
        "Every (workload, sparsity) curve runs through linear scaling, diminishing returns and maximal data "
        "parallelism.",
        verdict(cases),
        f"{tally(cases, 'curves')}{numbers}.",
        "Slope of log K* against log B at most -0.8 from the smallest batch size to one at least 4 times as large, at "
        "least -0.2 from one at most a quarter of the largest to the largest, and in between, where there is something "
        "in between, neither steeper nor flatter by more than 0.2. K* counts anywhere in its check interval. A curve "
        "of fewer than 4 batch sizes, over less than a factor of 16, or whose last K* is within two check intervals "
        "cannot tell; one that lacks a region contradicts the claim from a factor of 1024 on, or where K* rises by "
        "half with the batch size. Any contradiction refutes the claim.",
    )


def _slopes(curve: pd.DataFrame) -> tuple[Case, tuple[float, float] | None]:
    """Whether a curve has the three regions, and its initial and final slope where it is long enough to have any."""
    curve = curve.sort_values("batch_size")
    b, k = (curve[name].to_numpy(float) for name in ("batch_size", "steps_to_result"))
    least = k - curve["interval_steps"].to_numpy(float) + 1
    if (least > 1.5 * np.minimum.accumulate(k)).any():
        return False, None
    if len(b) < 4 or b[-1] < 16 * b[0]:
        return None, None
    near, far = int(np.argmax(b >= 4 * b[0])), int(np.flatnonzero(b <= b[-1] / 4)[-1])

    def slope(i: int, j: int, start: np.ndarray = k, end: np.ndarray = k) -> float:
        return float(np.log(end[j] / start[i]) / np.log(b[j] / b[i]))

    initial, final = slope(0, near), slope(far, -1)
    bends = near >= far or initial - 0.2 <= slope(near, far) <= final + 0.2
    there = slope(0, near, end=least) <= -0.8 and slope(far, -1, start=least) >= -0.2 and bends
    case: Case = there or (False if b[-1] >= 1024 * b[0] else None)
    if k[-1] <= 2 * curve["interval_steps"].iloc[-1]:
        case = None
    return case, (initial, final)


def sparse_takes_longer(results: Results) -> Claim:
    """Claim 2, by the ratio of K* at each batch size (Figure 12)."""
    done = results.studies[results.studies["state"] == "finished"]
    pairs = sparse_and_dense(done, PLACE)
    pairs = pairs[(pairs["steps_to_result_dense"] > 2 * pairs["interval_steps"]).fillna(False)]
    never = pairs["steps_to_result"].isna()  # then K* is beyond the budget of steps
    pairs = pairs.assign(steps_to_result=pairs["steps_to_result"].fillna(pairs["max_steps"] + pairs["interval_steps"]))
    pairs = pairs[~never | (pairs["steps_to_result"] > 4.5 * pairs["steps_to_result_dense"])]
    sparse, dense = (pairs[name].to_numpy(float) for name in ("steps_to_result", "steps_to_result_dense"))
    rounding = pairs["interval_steps"].to_numpy(float) - 1
    within = ((sparse - rounding) / dense <= 4.5) & (sparse / (dense - rounding) >= 1.5)
    enough = len(pairs) >= 3
    ratios = span((sparse / dense).tolist()) if len(pairs) else ""
    return Claim(
        2,
        "90% sparse takes 1.5 to 4.5 times the steps of dense.",
        ("holds" if within.mean() >= 0.9 else "does not hold") if enough else "not enough data",
        f"{within.sum()} of {len(pairs)} pairs of studies within the range" + (f"; ratios {ratios}." if ratios else ".")
        if enough
        else f"{len(pairs)} batch sizes have K* of both the 90% sparse and the dense network; 3 are needed.",
        "K* of 90% sparse over K* of dense, at each batch size that has both, is in [1.5, 4.5] at 90% of them or more, "
        "each K* anywhere in its check interval; 3 or more, dense K* beyond two check intervals. A sparse network that "
        "never reaches the goal counts with its budget of steps where that alone is more than 4.5 times.",
    )


def larger_critical_batch(results: Results) -> Claim:
    """Claim 3, by c1 / c2 of the fits (Figure 1, fourth column)."""
    optimizers = results.studies[["workload", "goal_error", "optimizer"]].drop_duplicates()
    rows = results.theory.merge(optimizers, on=["workload", "goal_error"])
    pairs = sparse_and_dense(rows[rows["optimizer"].isin(MOMENTUM)], ["workload", "goal_error"])
    cases = [larger(row, "_dense") for _, row in pairs.iterrows()]
    numbers = [
        f"{row['workload']}: {_number(row['critical_batch_size'])} sparse, "
        f"{_number(row['critical_batch_size_dense'])} dense"
        for _, row in pairs.iterrows()
    ]
    return Claim(
        3,
        "With momentum the critical batch size of the 90% sparse network is at least the dense one's.",
        verdict(cases),
        "; ".join([tally(cases, "workloads"), *numbers]) + ".",
        "c1 / c2 of the 90% sparse curve is at least that of the dense curve, for every workload with Momentum or "
        "Nesterov; smaller counts against it only where the 95% intervals do not meet, and cannot tell otherwise. "
        "Curves of fewer than 3 batch sizes, or without levelling off, have no critical batch size.",
    )


def _number(value: float) -> str:
    return "unknown" if pd.isna(value) else f"{value:.0f}"


def momentum_helps(results: Results) -> Claim:
    """Claim 4, by K* from SGD's critical batch size on, and by the critical batch sizes (Figure 2)."""
    same = ["dataset", "model", "lr_schedule", *CURVE[1:]]
    names = [*same, "workload", "optimizer"]
    curves = results.studies[names].drop_duplicates().merge(results.theory, on=CURVE)
    sgd = curves[curves["optimizer"] == "sgd"]
    pairs = curves[curves["optimizer"].isin(MOMENTUM)].merge(sgd, on=same, suffixes=("", "_sgd"))
    studies = finished(results.studies)
    cases = [all_of([larger(row, "_sgd"), _fewer_steps(row, studies)]) for _, row in pairs.iterrows()]
    numbers = [
        f"{row['workload']} at sparsity {row['sparsity']:g}: critical batch size "
        f"{_number(row['critical_batch_size'])} against {_number(row['critical_batch_size_sgd'])} with SGD"
        for _, row in pairs.iterrows()
    ]
    return Claim(
        4,
        "Momentum and Nesterov need fewer steps than SGD at large batches and have larger critical batch sizes.",
        verdict(cases),
        "; ".join([tally(cases, "curves with an SGD counterpart"), *numbers]) + ".",
        "For each curve with Momentum or Nesterov and that with SGD of the same data, model, schedule, goal and "
        "network: c1 / c2 is at least as large (smaller counts only where the 95% intervals do not meet), and K* is "
        "lower at all common batch sizes from SGD's critical batch size on (higher at half of them or more "
        "contradicts; none of them, or neither, cannot tell).",
    )


def _fewer_steps(row: pd.Series[float], studies: pd.DataFrame) -> Case:
    curves = [studies[(studies[CURVE] == row[names].to_numpy()).all(axis=1)] for names in (CURVE, _sgd_curve())]
    both = curves[0].merge(curves[1], on="batch_size", suffixes=("", "_sgd"))
    both = both[both["batch_size"] >= row["critical_batch_size_sgd"]]
    if both.empty:
        return None
    if (both["steps_to_result"] < both["steps_to_result_sgd"]).all():
        return True
    return False if (both["steps_to_result"] > both["steps_to_result_sgd"]).mean() >= 0.5 else None


def _sgd_curve() -> list[str]:
    return ["workload_sgd", *CURVE[1:]]
