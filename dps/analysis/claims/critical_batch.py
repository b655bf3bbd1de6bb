"""Claim 3: the critical batch size of a sparse network beside the dense one's (Figure 1, fourth column)."""

from __future__ import annotations

import math

import pandas as pd

from dps.analysis.claims.claim import (
    AT_SPARSE,
    Case,
    Claim,
    combined,
    named,
    sparse_and_dense,
    tally,
    verdict,
    with_interval,
    within,
)
from dps.analysis.columns import GRID
from dps.analysis.k_star import LEVEL
from dps.analysis.results import Results

MOMENTUM = ("momentum", "nesterov")
COMPARED_SIZES = 5  # batch sizes at which both curves have K*, where their critical batch sizes are compared
NO_SMALLER = 0.8  # times the other critical batch size: what is not below this is "no smaller"


def larger_critical_batch(results: Results) -> Claim:
    """Claim 3, by the interval of the ratio of c1 / c2 of the fits."""
    optimizers = results.studies[[*GRID, "optimizer"]].drop_duplicates()
    rows = results.theory.merge(optimizers, on=list(GRID))
    pairs = sparse_and_dense(rows[rows["optimizer"].isin(MOMENTUM)], GRID)
    pairs = pairs[pairs["compared_batch_sizes"] >= COMPARED_SIZES]
    pairs = pairs[pairs[["critical_ratio_low", "critical_ratio_high"]].notna().any(axis=1)]
    cases = [no_smaller(row["critical_ratio_low"], row["critical_ratio_high"]) for _, row in pairs.iterrows()]
    texts = [f"{named(row['workload'], row['goal_error'])}: {_figures(row)}" for _, row in pairs.iterrows()]
    return Claim(
        3,
        f"With momentum the critical batch size of the {AT_SPARSE} sparse network is no smaller than {NO_SMALLER} "
        "times the dense one's.",
        verdict(cases),
        "; ".join([tally(cases, "workloads that can be judged"), *texts]) + ".",
        f"The {LEVEL:.0%} interval of c1 / c2 of the {AT_SPARSE} sparse curve over that of the dense curve, for every "
        "workload with Momentum or Nesterov. Both are fitted to the batch sizes and replicates at which both have K*, "
        f"{COMPARED_SIZES} batch sizes or more. The workload bears the claim out where the lower end is {NO_SMALLER} "
        f"or more, and contradicts it where the upper end is below {NO_SMALLER}. The numbers call it larger where the "
        "lower end is one or more, smaller where the upper end is below one, and otherwise no smaller where the lower "
        f"end is {NO_SMALLER} or more. {combined('workloads')}",
    )


def no_smaller(low: float, high: float) -> Case:
    """Whether a ratio with this interval is NO_SMALLER or more."""
    return within(low, high, NO_SMALLER, math.inf)


def in_short(low: float, high: float) -> str:
    """What the interval of a ratio says of the critical batch size."""
    larger = within(low, high, 1, math.inf)
    if larger is not None:
        return "larger" if larger else "smaller"
    return "no smaller" if no_smaller(low, high) else "not told apart"


def _figures(row: pd.Series[float]) -> str:
    low, high = row["critical_ratio_low"], row["critical_ratio_high"]
    own, dense = (
        with_interval(row[f"critical_batch_size{of}"], row[f"critical_low{of}"], row[f"critical_high{of}"], ".0f")
        for of in ("", "_dense")
    )
    ratio = with_interval(row["critical_ratio"], low, high)
    return f"{own} sparse, {dense} dense, ratio {ratio}, {in_short(low, high)}"
