"""Claim 6: the best learning rate against the batch size, and against its search range."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from dps.analysis.claims.claim import TAIL, Case, Claim, all_of, finished, in_words, of_networks, verdict
from dps.analysis.claims.intervals import Interval, t_interval
from dps.analysis.columns import GRID
from dps.analysis.results import Results
from dps.analysis.study_folder import OUTER_FRACTION

DEGREES_OF_FREEDOM = 3  # that the slope of a single replicate must leave
BY_CHANCE = 2 * OUTER_FRACTION
MOST_AT_EDGE = 0.5  # of the best trials, for them to lie inside
UNIT = ["workload", "replicate", "batch_size"]  # whose networks and goals share their data and Sobol points


def learning_rate_grows(results: Results) -> Claim:
    """Claim 6, by the best learning rates of all curves, and where in their search ranges the best trials lie."""
    studies = of_networks(finished(results.studies), [*GRID, "batch_size", "replicate"], "trials")
    grows, slopes = _slope_of_learning_rate(studies[studies["lr"].notna()])
    inside, edges = _inside(studies[studies["space"].str.contains("optimizer.lr=", regex=False)])
    return Claim(
        6,
        "The best learning rate grows with the batch size; best trials lie inside the search range.",
        verdict([all_of([grows, inside])], 2 * TAIL),
        f"{slopes}; {edges}.",
        "The best trials of one workload, replicate and batch size, in all its networks and for all goals, come from "
        "the same Sobol points and the same data, and count as one. The least-squares slope of the mean of their log "
        "lr against log B, with a level for each workload, replicate and set of curves in the mean, is positive "
        f"with a one-sided p < {TAIL} (Student's t, of the slopes of the replicates where there are two or more, and "
        f"otherwise of the regression, with {DEGREES_OF_FREEDOM} degrees of freedom or more; negative with "
        f"such a p: contradicts); and surely fewer than {in_words(MOST_AT_EDGE)} of the best trials have their "
        f"learning rate in the outer {OUTER_FRACTION:.0%} at either end of its search range (more than the "
        f"{in_words(BY_CHANCE)} that chance puts there: contradicts; both one-sided binomial p < {TAIL}, of the sum of "
        "the fractions of those that count as one, rounded up for the first and down for the second).",
    )


def _slope_of_learning_rate(studies: pd.DataFrame) -> tuple[Case, str]:
    """Whether the slope is positive, and the slope with its interval: of the replicates', or of the only one's."""
    points = _points(studies)
    about = points.groupby(["workload", "replicate", "curves"])[["log_b", "log_lr"]]
    points[["log_b", "log_lr"]] -= about.transform("mean")
    by_replicate = points.assign(xx=points["log_b"] ** 2, xy=points["log_b"] * points["log_lr"]).groupby("replicate")
    sums = by_replicate[["xx", "xy"]].sum()
    slopes = (sums["xy"] / sums["xx"])[sums["xx"] > 0]
    slope = float(slopes.mean())
    low, high = t_interval(slopes) if len(slopes) > 1 else _regression(points, slope, len(points) - about.ngroups - 1)
    if math.isinf(low):
        return None, "too few batch sizes for a slope"
    text = f"log lr against log B has slope {slope:.2f} ({low:.2f} to {high:.2f}) "
    text += f"over {len(points)} means of {len(studies)} studies"
    return True if low > 0 else False if high < 0 else None, text


def _regression(points: pd.DataFrame, slope: float, free: int) -> Interval:
    """Student's interval of the slope of points about their levels, which leave so many degrees of freedom."""
    from scipy.stats import t

    if free < DEGREES_OF_FREEDOM:
        return -math.inf, math.inf
    left = points["log_lr"] - slope * points["log_b"]
    half = float(t.ppf(1 - TAIL, free)) * math.sqrt(float((left**2).sum() / free / (points["log_b"] ** 2).sum()))
    return slope - half, slope + half


def _points(studies: pd.DataFrame) -> pd.DataFrame:
    """log B and the mean of log lr of each UNIT, and which `curves` the mean is of."""
    logs = studies[UNIT].assign(
        log_b=np.log(studies["batch_size"].to_numpy(float)),
        log_lr=np.log(studies["lr"].to_numpy(float)),
        curve=studies.groupby([*GRID, "network"]).ngroup(),
    )
    units = logs.sort_values("curve").groupby(UNIT)
    return units.agg(log_b=("log_b", "mean"), log_lr=("log_lr", "mean"), curves=("curve", tuple))


def _inside(studies: pd.DataFrame) -> tuple[Case, str]:
    """Whether the best trials, which count as one in each UNIT, lie inside their search range, and how many do not."""
    from scipy.stats import binomtest

    if studies.empty:
        return None, "no learning rate was searched in a known range"
    at_edge = studies["boundary"].str.split().map(lambda names: "lr" in names)
    fractions = at_edge.groupby([studies[name] for name in UNIT]).mean()
    total = round(float(fractions.sum()), 9)
    least, most = (binomtest(whole, len(fractions)) for whole in (math.floor(total), math.ceil(total)))
    low, high = least.proportion_ci(1 - 2 * TAIL).low, most.proportion_ci(1 - 2 * TAIL).high
    text = f"at {at_edge.sum()} of {len(studies)} best trials ({low:.0%} to {high:.0%}) "
    text += "the learning rate lies at the edge of what was searched"
    if binomtest(least.k, least.n, BY_CHANCE, "greater").pvalue < TAIL:
        return False, text
    return high < MOST_AT_EDGE or None, text
