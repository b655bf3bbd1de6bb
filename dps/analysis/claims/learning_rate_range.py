"""Claim 7: the range of learning rates that succeed (Figure 4)."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from dps.analysis.claims.claim import (
    AT_SPARSE,
    Case,
    Claim,
    combined,
    finished,
    named,
    sparse_and_dense,
    tally,
    verdict,
    with_interval,
    within,
)
from dps.analysis.columns import ACROSS_NETWORKS, GRID, STUDY
from dps.analysis.k_star import LEVEL
from dps.analysis.results import Results

LEAST_TRIALS = 6  # that each network completes at some batch size
CELL = ["batch_size", "replicate"]


def range_narrows(results: Results) -> Claim:
    """Claim 7, by the spread of the learning rates that succeed, in trials of the same Sobol points."""
    found = [(named(*key), *_narrower(rows)) for key, rows in _pairs(results).groupby(list(GRID))]
    cases = [case for _, trials, case, _ in found if trials >= LEAST_TRIALS]
    texts = [f"{name}: {text}" for name, _, _, text in found]
    needed = [] if found else ["it takes both networks run to the end of every trial (race=false)"]
    return Claim(
        7,
        "The range of learning rates that succeed narrows with sparsity.",
        verdict(cases),
        "; ".join([tally(cases, "workloads that can be judged"), *needed, *texts]) + ".",
        f"Trials of the {AT_SPARSE} sparse and the dense network are paired by trial number, at the same batch size "
        "and in the same replicate, where they have the same metaparameters. Compared is the standard deviation of log "
        "lr over the trials that complete, about the mean at each batch size and in each replicate, sparse over dense; "
        "trials that fail at any learning rate alike do not change it. Its "
        f"{LEVEL:.0%} interval comes from leaving out each trial number in turn at all batch sizes (jackknife, "
        "Student's t on the log scale). A workload bears the claim out where it lies below one, and contradicts it "
        f"where it lies above. It takes {LEAST_TRIALS} trial numbers or more that complete in each network, and "
        f"{LEAST_TRIALS - 1} or more degrees of freedom about the means, in studies "
        f"without censored trials: a trial stopped by the race might have succeeded. {combined('workloads')}",
    )


def _pairs(results: Results) -> pd.DataFrame:
    """A row for each trial of the same learning rate in both networks: `complete` and `complete_dense`."""
    study = [*STUDY, "replicate"]
    whole = finished(results.studies)
    trials = results.trials[[*study, "trial", "lr", "status"]].merge(whole.loc[whole["censored"] == 0, study], on=study)
    trials["complete"] = trials.pop("status") == "complete"
    return sparse_and_dense(trials, [*ACROSS_NETWORKS, "replicate", "trial", "lr"])


def _narrower(pairs: pd.DataFrame) -> tuple[int, Case, str]:
    """The number of trial numbers that complete in each network, whether the range narrows, and what is known of it."""
    numbers = ["replicate", "trial"]
    names = ("complete", "complete_dense")
    trials, dense = (len(pairs.loc[pairs[name], numbers].drop_duplicates()) for name in names)
    text = f"{trials} trial numbers complete at some batch size when {AT_SPARSE} sparse and {dense} dense"
    if min(trials, dense) < LEAST_TRIALS:
        return min(trials, dense), None, text
    if _freedom(pairs) < LEAST_TRIALS - 1:
        return min(trials, dense), None, f"{text}, of which too few at the same batch size"
    log_ratio, without = (a - b for a, b in zip(*(_log_spread(pairs, name) for name in names), strict=True))
    low, high = _jackknife(without.to_numpy(float))
    ratio = with_interval(math.exp(log_ratio), math.exp(log_ratio + low), math.exp(log_ratio + high))
    case = within(log_ratio + low, log_ratio + high, -math.inf, 0)
    return min(trials, dense), case, f"{text}, and the spread of log lr is {ratio} times the dense one's"


def _freedom(pairs: pd.DataFrame) -> int:
    """How many learning rates complete beyond the first of each batch size and replicate; of the lesser network."""
    counts = pairs.groupby(CELL)[["complete", "complete_dense"]].sum()
    return int((counts - 1).clip(lower=0).sum().min())


def _log_spread(pairs: pd.DataFrame, name: str) -> tuple[float, pd.Series[float]]:
    """log of the standard deviation of log lr of the trials marked `name`, and the same without each trial number."""
    each = pairs[["trial", *CELL]].assign(n=pairs[name].astype(float))
    each = each.assign(x=each["n"] * np.log(pairs["lr"]), xx=each["n"] * np.log(pairs["lr"]) ** 2)
    sums = each.groupby(CELL)[["n", "x", "xx"]].transform("sum")
    whole, rest = _scatter(sums), _scatter(sums - each[["n", "x", "xx"]])
    left = (rest - whole).groupby([each["replicate"], each["trial"]]).sum()
    total = whole[~each.duplicated(CELL)].sum()
    return _log_deviation(total), (left + total).apply(_log_deviation, axis=1)


def _scatter(sums: pd.DataFrame) -> pd.DataFrame:
    """The sum of squares about the mean, and its degrees of freedom, of n values with these sums x and xx."""
    squares = (sums["xx"] - sums["x"] ** 2 / sums["n"].clip(lower=1)).clip(lower=0)
    return pd.DataFrame({"squares": squares, "freedom": (sums["n"] - 1).clip(lower=0)})


def _log_deviation(scatter: pd.Series[float]) -> float:
    return 0.5 * math.log(max(scatter["squares"], 1e-12) / max(scatter["freedom"], 1))


def _jackknife(without: np.ndarray) -> tuple[float, float]:
    """The distances of the ends of the interval from an estimate, from its values without each of the units."""
    from scipy.stats import t

    count = len(without)
    error = math.sqrt((count - 1) / count * float(((without - without.mean()) ** 2).sum()))
    half = float(t.ppf((1 + LEVEL) / 2, count - 1)) * error
    return -half, half
