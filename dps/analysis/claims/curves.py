"""Claims 1 to 4: what the curves of K* against the batch size look like."""

from __future__ import annotations

import numpy as np
import pandas as pd

from dps.analysis.claims.claim import (
    AT_SPARSE,
    LEAST_PAIRS,
    Case,
    Claim,
    all_of,
    finished,
    in_words,
    larger,
    number,
    span,
    sparse_and_dense,
    tally,
    verdict,
)
from dps.analysis.columns import ACROSS_NETWORKS, CURVE, GRID
from dps.analysis.k_star import LEVEL
from dps.analysis.results import Results
from dps.analysis.theory import LEAST_BATCH_SIZES

MOMENTUM = ("momentum", "nesterov")
CLOSE_CHECKS = 2  # K* within so many check intervals is too coarse to judge by
# Claim 1
LINEAR, FLAT = -0.8, -0.2  # slopes of log K* against log B
SLOPE_TOLERANCE = 0.2
REGION = 4  # a region spans this factor in the batch size
CURVE_BATCH_SIZES, CURVE_FACTOR = 4, 16  # that a curve must have for all three regions to show
LONG_FACTOR = 1024  # over which a curve that lacks a region contradicts
RISE = 0.5  # of K* with the batch size, as a fraction, that contradicts
# Claim 2
TIMES_LEAST, TIMES_MOST = 1.5, 4.5  # K* sparse over K* dense, as the reference study has it
SHARE_WITHIN = 0.9
# Claim 4
SHARE_HIGHER = 0.5


def three_regions(results: Results) -> Claim:
    """Claim 1, by the slopes of log K* against log B at both ends of each curve (Figure 1)."""
    curves = [_slopes(curve) for _, curve in finished(results.studies).groupby(list(CURVE))]
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
        f"Slope of log K* against log B at most {LINEAR} from the smallest batch size to one at least {REGION} times "
        f"as large, at least {FLAT} from one at most {in_words(1 / REGION)} of the largest to the largest, and in "
        f"between, where there is something in between, neither steeper nor flatter by more than {SLOPE_TOLERANCE}. K* "
        f"counts anywhere in its check interval. A curve of fewer than {CURVE_BATCH_SIZES} batch sizes, over less than "
        f"a factor of {CURVE_FACTOR}, or whose last K* is within {in_words(CLOSE_CHECKS)} check intervals cannot tell; "
        f"one that lacks a region contradicts the claim from a factor of {LONG_FACTOR} on, or where K* rises by "
        f"{in_words(RISE)} with the batch size. Any contradiction refutes the claim.",
    )


def _slopes(curve: pd.DataFrame) -> tuple[Case, tuple[float, float] | None]:
    """Whether a curve has the three regions, and its initial and final slope where it is long enough to have any."""
    curve = curve.sort_values("batch_size")
    b, k = (curve[name].to_numpy(float) for name in ("batch_size", "steps_to_result"))
    least = k - curve["interval_steps"].to_numpy(float) + 1
    if (least > (1 + RISE) * np.minimum.accumulate(k)).any():
        return False, None
    if len(b) < CURVE_BATCH_SIZES or b[-1] < CURVE_FACTOR * b[0]:
        return None, None
    near, far = int(np.argmax(b >= REGION * b[0])), int(np.flatnonzero(b <= b[-1] / REGION)[-1])

    def slope(i: int, j: int, start: np.ndarray = k, end: np.ndarray = k) -> float:
        return float(np.log(end[j] / start[i]) / np.log(b[j] / b[i]))

    initial, final = slope(0, near), slope(far, -1)
    bends = near >= far or initial - SLOPE_TOLERANCE <= slope(near, far) <= final + SLOPE_TOLERANCE
    there = slope(0, near, end=least) <= LINEAR and slope(far, -1, start=least) >= FLAT and bends
    case: Case = there or (False if b[-1] >= LONG_FACTOR * b[0] else None)
    if k[-1] <= CLOSE_CHECKS * curve["interval_steps"].iloc[-1]:
        case = None
    return case, (initial, final)


def sparse_takes_longer(results: Results) -> Claim:
    """Claim 2, by the ratio of K* at each batch size (Figure 12)."""
    done = results.studies[results.studies["state"] == "finished"]
    pairs = sparse_and_dense(done, ACROSS_NETWORKS)
    pairs = pairs[(pairs["steps_to_result_dense"] > CLOSE_CHECKS * pairs["interval_steps"]).fillna(False)]
    never = pairs["steps_to_result"].isna()  # then K* is beyond the budget of steps
    pairs = pairs.assign(steps_to_result=pairs["steps_to_result"].fillna(pairs["max_steps"] + pairs["interval_steps"]))
    pairs = pairs[~never | (pairs["steps_to_result"] > TIMES_MOST * pairs["steps_to_result_dense"])]
    sparse, dense = (pairs[name].to_numpy(float) for name in ("steps_to_result", "steps_to_result_dense"))
    rounding = pairs["interval_steps"].to_numpy(float) - 1
    within = ((sparse - rounding) / dense <= TIMES_MOST) & (sparse / (dense - rounding) >= TIMES_LEAST)
    enough = len(pairs) >= LEAST_PAIRS
    ratios = span((sparse / dense).tolist()) if len(pairs) else ""
    return Claim(
        2,
        f"{AT_SPARSE} sparse takes {TIMES_LEAST} to {TIMES_MOST} times the steps of dense.",
        ("holds" if within.mean() >= SHARE_WITHIN else "does not hold") if enough else "not enough data",
        f"{within.sum()} of {len(pairs)} pairs of studies within the range" + (f"; ratios {ratios}." if ratios else ".")
        if enough
        else f"{len(pairs)} batch sizes have K* of both the {AT_SPARSE} sparse and the dense network; {LEAST_PAIRS} "
        "are needed.",
        f"K* of {AT_SPARSE} sparse over K* of dense, at each batch size that has both, is in [{TIMES_LEAST}, "
        f"{TIMES_MOST}] at {SHARE_WITHIN:.0%} of them or more, each K* anywhere in its check interval; {LEAST_PAIRS} "
        f"or more, dense K* beyond {in_words(CLOSE_CHECKS)} check intervals. A sparse network that never reaches the "
        f"goal counts with its budget of steps where that alone is more than {TIMES_MOST} times.",
    )


def larger_critical_batch(results: Results) -> Claim:
    """Claim 3, by c1 / c2 of the fits (Figure 1, fourth column)."""
    optimizers = results.studies[[*GRID, "optimizer"]].drop_duplicates()
    rows = results.theory.merge(optimizers, on=list(GRID))
    pairs = sparse_and_dense(rows[rows["optimizer"].isin(MOMENTUM)], GRID)
    cases = [larger(row, "_dense") for _, row in pairs.iterrows()]
    numbers = [
        f"{row['workload']}: {_examples(row['critical_batch_size'])} sparse, "
        f"{_examples(row['critical_batch_size_dense'])} dense"
        for _, row in pairs.iterrows()
    ]
    return Claim(
        3,
        f"With momentum the critical batch size of the {AT_SPARSE} sparse network is at least the dense one's.",
        verdict(cases),
        "; ".join([tally(cases, "workloads"), *numbers]) + ".",
        f"c1 / c2 of the {AT_SPARSE} sparse curve is at least that of the dense curve, for every workload with "
        f"Momentum or Nesterov; smaller counts against it only where the {LEVEL:.0%} intervals do not meet, and cannot "
        f"tell otherwise. Curves of fewer than {LEAST_BATCH_SIZES} batch sizes, or without levelling off, have no "
        "critical batch size.",
    )


def _examples(critical_batch_size: float) -> str:
    return number(critical_batch_size, ".0f", "unknown")


def momentum_helps(results: Results) -> Claim:
    """Claim 4, by K* from SGD's critical batch size on, and by the critical batch sizes (Figure 2)."""
    same = ["dataset", "model", "lr_schedule", *CURVE[1:]]
    names = [*same, "workload", "optimizer"]
    curves = results.studies[names].drop_duplicates().merge(results.theory, on=list(CURVE))
    sgd = curves[curves["optimizer"] == "sgd"]
    pairs = curves[curves["optimizer"].isin(MOMENTUM)].merge(sgd, on=same, suffixes=("", "_sgd"))
    studies = finished(results.studies)
    cases = [all_of([larger(row, "_sgd"), _fewer_steps(row, studies)]) for _, row in pairs.iterrows()]
    numbers = [
        f"{row['workload']} at sparsity {row['sparsity']:g}: critical batch size "
        f"{_examples(row['critical_batch_size'])} against {_examples(row['critical_batch_size_sgd'])} with SGD"
        for _, row in pairs.iterrows()
    ]
    return Claim(
        4,
        "Momentum and Nesterov need fewer steps than SGD at large batches and have larger critical batch sizes.",
        verdict(cases),
        "; ".join([tally(cases, "curves with an SGD counterpart"), *numbers]) + ".",
        "For each curve with Momentum or Nesterov and that with SGD of the same data, model, schedule, goal and "
        f"network: c1 / c2 is at least as large (smaller counts only where the {LEVEL:.0%} intervals do not meet), and "
        f"K* is lower at all common batch sizes from SGD's critical batch size on (higher at {in_words(SHARE_HIGHER)} "
        "of them or more contradicts; none of them, or neither, cannot tell).",
    )


def _fewer_steps(row: pd.Series[float], studies: pd.DataFrame) -> Case:
    sgd_curve = ["workload_sgd", *CURVE[1:]]
    curves = [
        studies[(studies[list(CURVE)] == row[names].to_numpy()).all(axis=1)] for names in (list(CURVE), sgd_curve)
    ]
    both = curves[0].merge(curves[1], on="batch_size", suffixes=("", "_sgd"))
    both = both[both["batch_size"] >= row["critical_batch_size_sgd"]]
    if both.empty:
        return None
    if (both["steps_to_result"] < both["steps_to_result_sgd"]).all():
        return True
    return False if (both["steps_to_result"] > both["steps_to_result_sgd"]).mean() >= SHARE_HIGHER else None
