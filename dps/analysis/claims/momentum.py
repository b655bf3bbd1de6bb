"""Claim 4: Momentum and Nesterov beside SGD (Figure 2)."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from dps.analysis.claims.claim import (
    TAIL,
    Case,
    Claim,
    all_of,
    combined,
    named,
    of_networks,
    tally,
    verdict,
    with_interval,
    within,
)
from dps.analysis.claims.critical_batch import COMPARED_SIZES, MOMENTUM, in_short
from dps.analysis.claims.intervals import middle_of_check, t_interval
from dps.analysis.columns import CURVE, GRID, PARTS
from dps.analysis.fits.curve import curve_of, in_common
from dps.analysis.fits.ratios import critical_ratio
from dps.analysis.k_star import LEVEL
from dps.analysis.results import Results

SAME = ["dataset", "model", "lr_schedule", "goal_error", "network"]  # of a curve and its SGD counterpart


def momentum_helps(results: Results) -> Claim:
    """Claim 4, by the ratio of the critical batch sizes, and of K* from SGD's critical batch size on."""
    parts = results.studies[[*CURVE, *PARTS]].drop_duplicates()
    curves = of_networks(parts.merge(results.theory, on=list(CURVE)), GRID, "batch_sizes")
    sgd = curves[curves["optimizer"] == "sgd"]
    pairs = curves[curves["optimizer"].isin(MOMENTUM)].merge(sgd, on=SAME, suffixes=("", "_sgd"))
    studies = results.studies[results.studies["state"] == "finished"]
    found = [(row, *case) for _, row in pairs.iterrows() if (case := _case(row, studies))]
    cases = [case for _, case, _ in found]
    texts = [
        f"{named(row['workload'], row['goal_error'])}, sparsity {row['sparsity']:g}: {text}" for row, _, text in found
    ]
    return Claim(
        4,
        "Momentum and Nesterov need fewer steps than SGD at large batches and have larger critical batch sizes.",
        verdict(cases, 2 * TAIL),
        "; ".join([tally(cases, "curves with an SGD counterpart"), *texts]) + ".",
        "For each curve with Momentum or Nesterov and that with SGD of the same data, model, schedule, goal and "
        f"network, with {COMPARED_SIZES} batch sizes or more at which both have K*: the {LEVEL:.0%} intervals of the "
        "ratio of c1 / c2, both fitted to the batch sizes and replicates that they have in common, and of the mean "
        "ratio (on the log scale) of K* at equal batch sizes from SGD's critical batch size on. The curve bears the "
        "claim out where the first lies above one, the critical batch size then being larger, and the second below "
        "one, and contradicts it where either lies on the other side. The second is Student's, from the means of the "
        "replicates where there are two or more, and else from the batch sizes; where a goal was never reached it is "
        f"unknown. {combined('curves', 2 * TAIL)}",
    )


def _case(row: pd.Series[float], studies: pd.DataFrame) -> tuple[Case, str] | None:
    """Whether the curve bears the claim out, and its numbers; None with too few batch sizes in common."""
    sgd_curve = [name if name in SAME else f"{name}_sgd" for name in CURVE]
    momentum, sgd = (
        studies[(studies[list(CURVE)] == row[names].to_numpy()).all(axis=1)] for names in (list(CURVE), sgd_curve)
    )
    curves = in_common(curve_of(momentum), curve_of(sgd))
    if len(curves[0].batch_sizes) < COMPARED_SIZES:
        return None
    critical = critical_ratio(*curves)
    both = momentum.merge(sgd, on=["batch_size", "replicate"], suffixes=("", "_sgd"))
    steps = _ratio_of_steps(both[both["batch_size"] >= row["critical_batch_size_sgd"]])
    text = f"ratio of critical batch sizes {with_interval(*critical)}, {in_short(critical.low, critical.high)}; "
    text += f"of K* at large batches {with_interval(*steps)}"
    larger = within(critical.low, critical.high, 1, math.inf)
    return all_of([larger, within(*steps[1:], 0, 1)]), text


def _ratio_of_steps(both: pd.DataFrame) -> tuple[float, float, float]:
    """The mean ratio of K* with its interval; nan where there is none, or a K* that was never reached."""
    if both.empty or both[["steps_to_result", "steps_to_result_sgd"]].isna().any(axis=None):
        return math.nan, math.nan, math.nan
    logs = pd.Series(middle_of_check(both) - middle_of_check(both, "_sgd"))
    by_replicate = logs.groupby(both["replicate"].to_numpy()).mean()
    low, high = t_interval(by_replicate if len(by_replicate) > 1 else logs)
    return math.exp(by_replicate.mean()), float(np.exp(low)), float(np.exp(high))
