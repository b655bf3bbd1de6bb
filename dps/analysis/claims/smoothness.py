"""Claim 5: the smoothness of the loss against the sparsity (Figure 5)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dps.analysis.claims.claim import (
    AT_SPARSE,
    SPARSE,
    TAIL,
    Case,
    Claim,
    all_of,
    combined,
    in_words,
    tally,
    verdict,
)
from dps.analysis.columns import WORKLOAD
from dps.analysis.measured import after_step_0
from dps.analysis.results import Results

ALL_WEIGHTS = "with the gradients of pruned weights"
LEAST_SEEDS = 6  # trials of which all have to agree for a sign test at TAIL
SEED = ["replicate", "trial"]  # the columns that tell the trials of a network apart
PARTS = 4  # of the training, in each of which L is compared
Floats = NDArray[np.float64]


def sparse_is_less_smooth(results: Results) -> Claim:
    """Claim 5, by sign tests over the trials for which the local Lipschitz constant L was measured."""
    found = []
    for key, rows in after_step_0(results.smoothness).groupby(list(WORKLOAD)):
        seeds, case, text = _rising(rows, "smoothness")
        found.append((key[0], seeds, case, f"{text}; {ALL_WEIGHTS}: {_rising(rows, 'smoothness_all_weights')[2]}"))
    cases = [case for _, seeds, case, _ in found if seeds >= LEAST_SEEDS]
    texts = [f"{name}: {text}" for name, _, _, text in found]
    known = f"workloads with L of {LEAST_SEEDS} or more trials at {PARTS} or more steps"
    return Claim(
        5,
        "L rises with sparsity and stays above the dense network's throughout training.",
        verdict(cases),
        "; ".join([tally(cases, known), *texts]) + ".",
        "L of two networks is paired by trial, and so by seed, at the batch sizes and steps after step 0 that all "
        "networks have in common. Steps and batch sizes of one trial are not independent, and count as one: the mean "
        "of the difference of log L. Compared are each sparsity with the one before, over all steps, and "
        f"{AT_SPARSE} with dense in each of {in_words(PARTS)} equal parts of the steps. A workload of {LEAST_SEEDS} "
        f"trials or more bears the claim out where the sparser network's L is larger in all comparisons (sign tests "
        f"over trials, one-sided p at most {TAIL}), and contradicts it where it is smaller in any (with Bonferroni's "
        f"correction). The gradient is that over the weights that survive. {combined('workloads')}",
    )


def _rising(rows: pd.DataFrame, name: str) -> tuple[int, Case, str]:
    """The number of trials, whether L rises, and what is known of it."""
    logs = np.log(rows.pivot_table(name, [*SEED, "batch_size", "step"], "sparsity")).dropna()
    logs.columns = logs.columns.to_numpy(float).round(6)
    means = ", ".join(f"{np.exp(mean):.3g} at sparsity {sparsity:g}" for sparsity, mean in logs.mean().items())
    seeds = logs.groupby(SEED).ngroups
    steps = logs.index.get_level_values("step")
    if not {0, SPARSE} <= set(logs.columns) or steps.nunique() < PARTS:
        few = f"{steps.nunique()} of the {PARTS} common steps that {AT_SPARSE} sparse and dense need"
        return 0, None, f"{means}; {few}" if len(logs) else few
    compared = _differences(logs, steps)
    larger = [int((one > 0).sum()) for one in compared]
    text = f"{means}; larger in {min(larger)} or more of {seeds} trials, in each of {len(compared)} comparisons"
    return seeds, _case(compared), text


def _differences(logs: pd.DataFrame, steps: pd.Index[int]) -> list[Floats]:
    """The mean difference of log L in each trial (T,), for each comparison of two networks."""
    rank = steps.to_series().rank(method="dense").to_numpy() - 1
    part = pd.Series((rank * PARTS // (rank.max() + 1)).astype(int), logs.index, name="part")
    next_sparsity = logs.diff(axis=1).iloc[:, 1:].groupby(SEED).mean()
    over_dense = (logs[SPARSE] - logs[0]).to_frame("log").join(part).groupby([*SEED, "part"])["log"].mean()
    return [column.to_numpy() for table in (next_sparsity, over_dense.unstack()) for _, column in table.items()]


def _case(compared: Sequence[Floats]) -> Case:
    if min(_p(-one) for one in compared) <= TAIL / len(compared):
        return False
    return all_of([_p(one) <= TAIL or None for one in compared])


def _p(differences: Floats) -> float:
    """One-sided p of the sign test that they are positive; those that are zero or unknown do not count."""
    from scipy.stats import binomtest

    signs = differences[np.isfinite(differences) & (differences != 0)] > 0
    return float(binomtest(int(signs.sum()), len(signs), 0.5, "greater").pvalue) if len(signs) else 1.0
