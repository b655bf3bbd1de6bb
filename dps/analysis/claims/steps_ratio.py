"""Claim 2: how many times the steps of the dense network a sparse one takes (Figure 12)."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from dps.analysis.claims.claim import (
    AT_SPARSE,
    Case,
    Claim,
    combined,
    in_words,
    named,
    sparse_and_dense,
    tally,
    verdict,
    with_interval,
    within,
)
from dps.analysis.claims.intervals import least_values, middle_of_check, typical
from dps.analysis.columns import ACROSS_NETWORKS, GRID
from dps.analysis.k_star import LEVEL
from dps.analysis.results import Results

TIMES_LEAST, TIMES_MOST = 1.5, 4.5  # K* sparse over K* dense, as the reference study has it
CLOSE_CHECKS = 4  # dense K* within so many check intervals is too coarse to judge by


def sparse_takes_longer(results: Results) -> Claim:
    """Claim 2, by the interval of the median ratio of K* of each workload."""
    done = results.studies[results.studies["state"] == "finished"]
    pairs = sparse_and_dense(done, [*ACROSS_NETWORKS, "replicate"])
    pairs = pairs[(pairs["steps_to_result_dense"] > CLOSE_CHECKS * pairs["interval_steps"]).fillna(False)]
    found = [(named(*key), *_median_ratio(rows)) for key, rows in pairs.groupby(list(GRID))]
    cases = [case for _, enough, case, _ in found if enough]
    return Claim(
        2,
        f"{AT_SPARSE} sparse takes {TIMES_LEAST} to {TIMES_MOST} times the steps of dense.",
        verdict(cases),
        "; ".join([tally(cases, "workloads that can be judged"), *(f"{name}: {text}" for name, *_, text in found)])
        + ".",
        f"The {LEVEL:.0%} interval of the median, over batch sizes, of K* {AT_SPARSE} sparse over K* dense of the same "
        f"batch size and replicate: a workload bears the claim out where it lies inside [{TIMES_LEAST}, {TIMES_MOST}], "
        "and contradicts it where it lies outside. With two replicates or more it is Student's, on the log scale, of "
        "the replicates' medians, about their geometric mean; with one it lies between two ratios in their order "
        f"(Hettmansperger and Sheather), of {least_values(LEVEL)} or more. K* counts from the middle of its check "
        f"interval, and dense K* within {in_words(CLOSE_CHECKS)} check intervals is left out. Of a sparse network that "
        f"never reaches the goal only the least ratio is known, from the budget of steps, and the interval is "
        f"the widest that this allows. {combined('workloads')}",
    )


def _median_ratio(pairs: pd.DataFrame) -> tuple[bool, Case, str]:
    """Whether the pairs are enough for an interval, whether it is in the range, and what is known of it."""
    never = pairs["steps_to_result"].isna().to_numpy()  # then K* is beyond the budget of steps
    dense = middle_of_check(pairs, "_dense")
    least = np.where(never, np.log(pairs["max_steps"].to_numpy(float)), middle_of_check(pairs)) - dense
    most = np.where(never, math.inf, least)
    middle, low, high = np.exp(typical(least, most, pairs["replicate"].to_numpy(int))).tolist()
    text = f"{with_interval(middle, low, high)} over {len(pairs)} pairs of studies"
    return low > 0 or high < math.inf, within(low, high, TIMES_LEAST, TIMES_MOST), text
