"""Claims 5 to 8: smoothness, learning rates, and whether the theory's constants give the measured ratio."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from dps.analysis.claims.claim import (
    AT_SPARSE,
    LEAST_PAIRS,
    P_VALUE,
    SPARSE,
    Case,
    Claim,
    all_of,
    finished,
    in_words,
    number,
    span,
    sparse_and_dense,
    tally,
    verdict,
)
from dps.analysis.columns import ACROSS_NETWORKS, CURVE, STUDY, WORKLOAD
from dps.analysis.measured import after_step_0
from dps.analysis.networks import criteria, of_criterion
from dps.analysis.results import Results
from dps.analysis.study_folder import OUTER_FRACTION
from dps.analysis.theory import LEAST_BATCH_SIZES

ALL_WEIGHTS = "with the gradients of pruned weights"
# Claim 5
SHARE_ABOVE = 0.95  # of the steps
# Claim 6
SLOPE_BATCH_SIZES = 3  # of a curve whose learning rates count
LEAST_STUDIES = 3
DEGREES_OF_FREEDOM = 3  # that a slope must leave
BY_CHANCE = 2 * OUTER_FRACTION
# Claim 7
SHARE_NARROWER = 0.75
RANGE_TRIALS = 2  # complete dense trials, which span a range
# Claim 8
FACTOR = 1.5


def sparse_is_less_smooth(results: Results) -> Claim:
    """Claim 5, by the local Lipschitz constants measured during training (Figure 5)."""
    found = []
    for key, rows in after_step_0(results.smoothness).groupby(list(WORKLOAD)):
        for criterion in criteria(rows):
            own = of_criterion(rows, criterion)
            case, text = _rising(own, "smoothness")
            found.append((key[0], case, f"{text}; {ALL_WEIGHTS}: {_rising(own, 'smoothness_all_weights')[1]}"))
    cases = [case for _, case, _ in found]
    return Claim(
        5,
        "L rises with sparsity and stays above the dense network's throughout training.",
        verdict(cases),
        "; ".join([tally(cases, "workloads with measured L"), *(f"{name}: {text}" for name, _, text in found)]) + ".",
        "Step 0 apart, at the batch sizes and steps measured at every sparsity, L averaged over steps and trials grows "
        f"from each sparsity to the next, and at {SHARE_ABOVE:.0%} or more of the steps that dense and {AT_SPARSE} "
        f"have in common, {LEAST_PAIRS} or more, its mean over the trials is larger at {AT_SPARSE}. The gradient is "
        "that over the weights that survive.",
    )


def _rising(rows: pd.DataFrame, name: str) -> tuple[Case, str]:
    rows = rows.dropna(subset=[name])
    everywhere = rows.groupby(["batch_size", "step"])["sparsity"].transform("nunique") == rows["sparsity"].nunique()
    by_place = rows[everywhere].groupby(["sparsity", "batch_size", "step"])[name].mean()
    means = by_place.groupby("sparsity").mean()
    text = ", ".join(f"{mean:.3g} at sparsity {sparsity:g}" for sparsity, mean in means.items()) or "no common steps"
    by_step = [
        rows[np.isclose(rows["sparsity"], sparsity)].groupby(["batch_size", "step"])[name].mean().dropna()
        for sparsity in (SPARSE, 0)
    ]
    sparse, dense = by_step[0].align(by_step[1], join="inner")
    if len(sparse) < LEAST_PAIRS:
        return None, f"{text}, {len(sparse)} common steps of {AT_SPARSE} sparse and dense"
    above = float((sparse > dense).mean())
    rises = bool((np.diff(means) > 0).all()) and above >= SHARE_ABOVE
    return rises, f"{text}, {AT_SPARSE} above dense at {above:.0%} of the steps"


def learning_rate_grows(results: Results) -> Claim:
    """Claim 6, by the best learning rates of all curves, and where in their search ranges the best trials lie."""
    studies = finished(results.studies)
    grows, slope, points = _slope_of_learning_rate(studies)
    known = studies[studies["space"].str.contains("optimizer.lr=", regex=False)]
    at_edge = int(known["boundary"].str.split().map(lambda names: "lr" in names).sum())
    edges = _more_than_chance(at_edge, len(known))
    slopes = (
        f"log lr against log B has slope {slope:.2f} over {points} studies"
        if points
        else "no curves long enough for a slope"
    )
    return Claim(
        6,
        "The best learning rate grows with the batch size; best trials lie inside the search range.",
        verdict([all_of([grows, edges])]),
        f"{slopes}; at {at_edge} of {len(known)} best trials the learning rate lies at the edge of what was searched.",
        "The common least-squares slope of log lr of the best trial against log B over all curves of "
        f"{SLOPE_BATCH_SIZES} or more batch sizes, each with its own level, is positive with a one-sided p < {P_VALUE} "
        f"(not positive: contradicts; otherwise: cannot tell), and the best trials, {LEAST_STUDIES} or more, do not "
        f"have their learning rate in the outer {OUTER_FRACTION:.0%} at either end of its search range more often than "
        f"the {in_words(BY_CHANCE)} that chance puts there (one-sided binomial p < {P_VALUE}).",
    )


def _slope_of_learning_rate(studies: pd.DataFrame) -> tuple[Case, float, int]:
    """Within-curve regression: whether the slope is positive, the slope, and the number of studies in it."""
    from scipy.stats import t

    curves = [
        curve for _, curve in studies[studies["lr"].notna()].groupby(list(CURVE)) if len(curve) >= SLOPE_BATCH_SIZES
    ]
    logs = [np.log(curve[["batch_size", "lr"]].to_numpy(float)) for curve in curves]
    points = sum(map(len, logs))
    free = points - len(logs) - 1
    if free < DEGREES_OF_FREEDOM:
        return None, math.nan, 0
    x, y = np.concatenate([log - log.mean(axis=0) for log in logs]).T
    slope = float(x @ y / (x @ x))
    error = math.sqrt(max(float(((y - slope * x) ** 2).sum()), 1e-24) / free / float(x @ x))
    positive: Case = True if t.sf(slope / error, free) < P_VALUE else None
    return (False if slope <= 0 else positive), slope, points


def _more_than_chance(at_edge: int, studies: int) -> Case:
    """False where more best trials lie at the edge of the range than by chance, None with too few studies."""
    from scipy.stats import binomtest

    if studies < LEAST_STUDIES:
        return None
    return bool(binomtest(at_edge, studies, BY_CHANCE, "greater").pvalue >= P_VALUE)


def range_narrows(results: Results) -> Claim:
    """Claim 7, by the learning rates of the trials that reached the goal (Figure 4)."""
    studies = finished(results.studies)
    studies = studies[studies["censored"] == 0]
    complete = results.trials[results.trials["status"] == "complete"]
    keys = list(STUDY)
    lr = complete.groupby(keys)["lr"].agg(["count", "min", "max"]).reset_index()
    widths = studies[keys].merge(lr, on=keys)
    widths["decades"] = np.log10(widths["max"] / widths["min"])
    pairs = sparse_and_dense(widths, ACROSS_NETWORKS)
    pairs = pairs[pairs["count_dense"] >= RANGE_TRIALS]
    narrower = (pairs["decades"] < pairs["decades_dense"]).sum()
    enough = len(pairs) >= LEAST_PAIRS
    figures = f"{len(pairs)} batch sizes have both networks run to the end of every trial (race=false); "
    figures += f"{LEAST_PAIRS} are needed."
    if enough:
        figures = f"narrower when {AT_SPARSE} sparse in {narrower} of {len(pairs)} pairs of studies; "
        figures += f"{span(list(pairs['decades']))} decades against {span(list(pairs['decades_dense']))} dense."
    return Claim(
        7,
        "The range of learning rates that succeed narrows with sparsity.",
        ("holds" if narrower >= SHARE_NARROWER * len(pairs) else "does not hold") if enough else "not enough data",
        figures,
        f"log10 of the largest over the least learning rate among complete trials is smaller at {AT_SPARSE} than for "
        f"dense at {SHARE_NARROWER:.0%} or more of the batch sizes, of {LEAST_PAIRS} or more that have "
        f"{in_words(RANGE_TRIALS)} complete dense trials. Only studies without censored trials count: a trial stopped "
        "by the race might have succeeded.",
    )


def theory_gives_the_ratio(results: Results) -> Claim:
    """Claim 8, by c1 = Delta L beta / (mu^2 eps^2) (Proposition 3.1 and Appendix C)."""
    rows = results.theory[np.isclose(results.theory["sparsity"], SPARSE)]
    ratios = rows[["c1_ratio_predicted", "c1_ratio_measured"]].to_numpy(float)
    cases: list[Case] = [_close(predicted, measured) for predicted, measured in ratios]
    numbers = [
        f"{row['workload']}: {_ratio(row['c1_ratio_predicted'])} predicted, {_ratio(row['c1_ratio_measured'])} "
        f"measured; {ALL_WEIGHTS}: {_ratio(row['c1_ratio_predicted_all_weights'])} predicted"
        for _, row in rows.iterrows()
    ]
    return Claim(
        8,
        f"c1 ({AT_SPARSE}) / c1 (dense) predicted from Delta, beta, L is close to the measured ratio of K*.",
        verdict(cases),
        "; ".join([tally(cases, f"{AT_SPARSE} sparse curves"), *numbers]) + ".",
        f"The product of the ratios of Delta, L and beta is within a factor of {FACTOR} of the ratio of the fitted c1, "
        f"for every workload that has both; this needs smoothness, noise and curves measured for the {AT_SPARSE} "
        f"sparse and the dense network, and K* at {LEAST_BATCH_SIZES} batch sizes of each. Gradients are those over "
        "the weights that survive.",
    )


def _close(predicted: float, measured: float) -> Case:
    if not (predicted > 0 and measured > 0):
        return None
    return bool(abs(math.log(predicted / measured)) <= math.log(FACTOR) + 1e-9)


def _ratio(value: float) -> str:
    return number(value, ".2f", "not")
