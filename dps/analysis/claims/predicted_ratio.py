"""Claim 8: whether the theory's constants give the measured ratio of c1 (Proposition 3.1 and Appendix C)."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from dps.analysis.claims.claim import (
    AT_SPARSE,
    SPARSE,
    Case,
    Claim,
    combined,
    named,
    tally,
    verdict,
    with_interval,
    within,
)
from dps.analysis.claims.intervals import Interval
from dps.analysis.k_star import LEVEL
from dps.analysis.results import Results

FACTOR = 1.5
PREDICTED, MEASURED, ALL_WEIGHTS = "c1_ratio_predicted", "c1_ratio_measured", "c1_ratio_predicted_all_weights"


def theory_gives_the_ratio(results: Results) -> Claim:
    """Claim 8, by c1 = Delta L beta / (mu^2 eps^2)."""
    rows = results.theory[np.isclose(results.theory["sparsity"], SPARSE)]
    rows = rows[(rows[PREDICTED] > 0) & (rows[MEASURED] > 0)]
    cases = [_close(quotient(row)) for _, row in rows.iterrows()]
    texts = [f"{named(row['workload'], row['goal_error'])}: {_figures(row)}" for _, row in rows.iterrows()]
    return Claim(
        8,
        f"c1 ({AT_SPARSE}) / c1 (dense) predicted from Delta, beta, L is close to the measured ratio of K*.",
        verdict(cases),
        "; ".join([tally(cases, f"{AT_SPARSE} sparse curves with a predicted and a measured ratio"), *texts]) + ".",
        f"The {LEVEL:.0%} interval of the predicted over the measured ratio, from the intervals of both on the log "
        "scale (Zou and Donner's method), where predicted is the product of the ratios of Delta, L and beta, and "
        f"measured the ratio of the fitted c1. A curve bears the claim out where it lies within a factor of {FACTOR} "
        "of one, and contradicts it where it lies outside. Where an interval of theirs is open at an end, so is this. "
        f"This needs smoothness, noise and curves measured for several trials of the {AT_SPARSE} sparse and "
        "the dense network. Gradients are those over the weights that survive, as in the authors' code. "
        f"{combined('curves')}",
    )


def quotient(row: pd.Series[float]) -> Interval:
    """The interval of log(predicted / measured), of two estimates with intervals that are independent of each other.

    It is infinite at an end that an open end of theirs leaves open.
    """
    (ours, low, high), (theirs, their_low, their_high) = (_logs(row, name) for name in (PREDICTED, MEASURED))
    difference = ours - theirs
    return difference - math.hypot(ours - low, their_high - theirs), difference + math.hypot(
        high - ours, theirs - their_low
    )


def _logs(row: pd.Series[float], name: str) -> tuple[float, float, float]:
    """The logarithms of a ratio and of the ends of its interval, infinite where they are open: zero or nan."""
    value, low, high = (row[f"{name}{end}"] for end in ("", "_low", "_high"))
    return math.log(value), math.log(low) if low > 0 else -math.inf, math.log(high) if high > 0 else math.inf


def _close(interval: Interval) -> Case:
    return within(*interval, -math.log(FACTOR), math.log(FACTOR))


def _figures(row: pd.Series[float]) -> str:
    def shown(name: str) -> str:
        return with_interval(*(row[f"{name}{end}"] for end in ("", "_low", "_high")))

    low, high = (math.exp(end) for end in quotient(row))
    return (
        f"{shown(PREDICTED)} predicted, {shown(MEASURED)} measured, predicted over measured "
        f"{with_interval(row[PREDICTED] / row[MEASURED], low, high)}; with the gradients of pruned weights: "
        f"{shown(ALL_WEIGHTS)} predicted"
    )
