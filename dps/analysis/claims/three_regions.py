"""Claim 1: linear scaling, diminishing returns and maximal data parallelism (Figure 1)."""

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
    finished,
    in_words,
    of_networks,
    span,
    tally,
    verdict,
    within,
)
from dps.analysis.claims.intervals import middle_of_check
from dps.analysis.columns import CURVE, GRID
from dps.analysis.k_star import LEVEL
from dps.analysis.results import Results

LINEAR, FLAT = -0.8, -0.2  # slopes of log K* against log B
EXPONENT = ("exponent_low", "exponent_high")
LEAST_EXPONENT = 0.5  # of a curve that bends sharply enough for three regions
CURVE_BATCH_SIZES = 5  # that a curve must have
CONTRADICTIONS = 2  # tests that a curve may fail, which share TAIL
RISING_SIZES = 3  # batch sizes in the upper half of log B, of which a rise is told from scatter
RISE = 0.5  # of K* with the batch size, as a fraction, that is more than scatter


def three_regions(results: Results) -> Claim:
    """Claim 1, by the critical batch size and the sharpness of each curve."""
    studies = finished(results.studies)
    ends = studies.groupby(list(CURVE))["batch_size"].agg(smallest="min", largest="max").astype(float)
    curves = of_networks(results.theory.merge(ends.reset_index(), on=list(CURVE)), GRID, "batch_sizes")
    judged = curves[(curves["batch_sizes"] >= CURVE_BATCH_SIZES) & curves[list(EXPONENT)].notna().any(axis=1)]
    rows = dict(list(studies.groupby(list(CURVE))))
    cases = [has_regions(curve, rows[tuple(curve[list(CURVE)])]) for _, curve in judged.iterrows()]
    known = [judged[end][np.isfinite(judged[end])].tolist() for end in EXPONENT]
    numbers = [
        f"the intervals of a {says} at {span(ends)}" for says, ends in zip(("begin", "end"), known, strict=True) if ends
    ]
    early, late = -LINEAR / (1 + LINEAR), -(1 + FLAT) / FLAT
    return Claim(
        1,
        "Every (workload, sparsity) curve runs through linear scaling, diminishing returns and maximal data "
        "parallelism.",
        verdict(cases),
        "; ".join([tally(cases, "curves"), *numbers, f"{len(curves) - len(judged)} curves cannot be judged"]) + ".",
        f"A curve of {CURVE_BATCH_SIZES} batch sizes or more bears the claim out where the {LEVEL:.0%} interval of its "
        f"critical batch size lies between {early:g} times the smallest batch size and 1 / {late:g} of the largest, so "
        f"that the slope of log K* against log B is at most {LINEAR} at one end and at least {FLAT} at the other, and "
        "that of the exponent a of (c1^a / B^a + c2^a)^(1/a), one in the theory and less where the curve bends more "
        f"gradually, above {LEAST_EXPONENT}, and the last K* exceeds none by {in_words(RISE)}. It contradicts the "
        f"claim where the interval of a lies below {LEAST_EXPONENT}, since three regions do not come so gradually, or "
        f"where K* rises over the upper half of log B (regression over {RISING_SIZES} batch sizes or more, one-sided "
        f"p < {TAIL / CONTRADICTIONS}). A region that no batch size reaches does not contradict. A curve with fewer "
        f"batch sizes, or with no interval of a, is not judged. {combined('curves')}",
    )


def has_regions(curve: pd.Series[float], studies: pd.DataFrame) -> Case:
    """Whether a curve, a row of theory.csv with its `smallest` and `largest` batch size, has the three regions."""
    least, most = -LINEAR / (1 + LINEAR) * curve["smallest"], -FLAT / (1 + FLAT) * curve["largest"]
    inside = within(curve["critical_low"], curve["critical_high"], least, most) or None
    sharp = within(curve["exponent_low"], curve["exponent_high"], LEAST_EXPONENT, math.inf)
    return all_of([inside, sharp, _falls(studies)])


def _falls(studies: pd.DataFrame) -> Case:
    """Whether log K* grows over the upper half of the log batch sizes: False if surely."""
    from scipy.stats import linregress, t

    logs = _by_batch_size(studies)
    falls: Case = bool(logs.iloc[-1] <= logs.min() + math.log1p(RISE)) or None
    upper = logs[logs.index >= (logs.index[0] + logs.index[-1]) / 2]
    if len(upper) < RISING_SIZES or upper.nunique() == 1:
        return falls
    found = linregress(upper.index, upper)
    return False if found.slope > found.stderr * t.ppf(1 - TAIL / CONTRADICTIONS, len(upper) - 2) else falls


def _by_batch_size(studies: pd.DataFrame) -> pd.Series[float]:
    """log K* by log batch size, up to a constant, without what a replicate adds at all of its own (least squares)."""
    sizes = pd.get_dummies(np.log(studies["batch_size"].to_numpy(float)), dtype=float)
    replicates = pd.get_dummies(studies["replicate"].to_numpy(), drop_first=True, dtype=float)
    terms = np.hstack([sizes, replicates])
    found = np.linalg.lstsq(terms, middle_of_check(studies), rcond=None)[0]
    return pd.Series(found[: sizes.shape[1]], sizes.columns.to_numpy(float))
