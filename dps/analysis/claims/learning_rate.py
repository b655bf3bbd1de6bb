"""Claim 6: the best learning rate against the batch size, and against its search range."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from dps.analysis.claims.claim import TAIL, Case, Claim, all_of, finished, in_words, verdict
from dps.analysis.columns import CURVE
from dps.analysis.results import Results
from dps.analysis.study_folder import OUTER_FRACTION

SLOPE_BATCH_SIZES = 3  # of a curve whose learning rates count
DEGREES_OF_FREEDOM = 3  # that a slope must leave
BY_CHANCE = 2 * OUTER_FRACTION
MOST_AT_EDGE = 0.5  # of the best trials, for them to lie inside


def learning_rate_grows(results: Results) -> Claim:
    """Claim 6, by the best learning rates of all curves, and where in their search ranges the best trials lie."""
    studies = finished(results.studies)
    grows, slopes = _slope_of_learning_rate(studies)
    known = studies[studies["space"].str.contains("optimizer.lr=", regex=False)]
    at_edge = int(known["boundary"].str.split().map(lambda names: "lr" in names).sum())
    inside, edges = _inside(at_edge, len(known))
    return Claim(
        6,
        "The best learning rate grows with the batch size; best trials lie inside the search range.",
        verdict([all_of([grows, inside])], 2 * TAIL),
        f"{slopes}; {edges}.",
        "The common least-squares slope of log lr of the best trial against log B over all curves of "
        f"{SLOPE_BATCH_SIZES} or more batch sizes, each curve and replicate with its own level, is positive with a "
        f"one-sided p < {TAIL} (negative with such a p: contradicts); and surely fewer than {in_words(MOST_AT_EDGE)} "
        f"of the best trials have their learning rate in the outer {OUTER_FRACTION:.0%} at either end of its search "
        f"range (more than the {in_words(BY_CHANCE)} that chance puts there: contradicts; both one-sided binomial p < "
        f"{TAIL}).",
    )


def _slope_of_learning_rate(studies: pd.DataFrame) -> tuple[Case, str]:
    """Within-curve regression: whether the slope is positive, and the slope with its interval."""
    from scipy.stats import t

    curves = [
        curve
        for _, curve in studies[studies["lr"].notna()].groupby([*CURVE, "replicate"])
        if len(curve) >= SLOPE_BATCH_SIZES
    ]
    logs = [np.log(curve[["batch_size", "lr"]].to_numpy(float)) for curve in curves]
    points = sum(map(len, logs))
    free = points - len(logs) - 1
    if free < DEGREES_OF_FREEDOM:
        return None, "no curves long enough for a slope"
    x, y = np.concatenate([log - log.mean(axis=0) for log in logs]).T
    slope = float(x @ y / (x @ x))
    error = math.sqrt(float(((y - slope * x) ** 2).sum()) / free / float(x @ x))
    half = float(t.ppf(1 - TAIL, free)) * error
    text = (
        f"log lr against log B has slope {slope:.2f} ({slope - half:.2f} to {slope + half:.2f}) over {points} studies"
    )
    return True if slope > half else False if slope < -half else None, text


def _inside(at_edge: int, studies: int) -> tuple[Case, str]:
    """Whether the best trials lie inside their search range, and how many do not."""
    from scipy.stats import binomtest

    if not studies:
        return None, "no learning rate was searched in a known range"
    low, high = binomtest(at_edge, studies).proportion_ci(1 - 2 * TAIL)
    text = f"at {at_edge} of {studies} best trials ({low:.0%} to {high:.0%}) "
    text += "the learning rate lies at the edge of what was searched"
    if binomtest(at_edge, studies, BY_CHANCE, "greater").pvalue < TAIL:
        return False, text
    return high < MOST_AT_EDGE or None, text
