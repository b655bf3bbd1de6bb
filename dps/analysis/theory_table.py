"""theory.csv: for each curve of K* its fit, and the constants that the theory says it comes from."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from dps.analysis import k_star, theory
from dps.analysis.columns import CURVE, GRID, WORKLOAD
from dps.analysis.measured import after_step_0
from dps.analysis.networks import of_criterion, recorded_with
from dps.analysis.resampling import intervals

FITTED = ("c1", "c2", "critical_batch_size", "linear_limit")
ENDS = ("c1", "c2", "critical", "linear_limit")
FACTORS = ("delta", "smoothness", "beta")  # of c1
FACTORS_ALL_WEIGHTS = ("delta", "smoothness_all_weights", "beta_all_weights")  # with the gradients of pruned weights
COLUMNS = (
    *("workload", "goal_error", "sparsity", "pruning", "batch_sizes"),
    *(column for name, end in zip(FITTED, ENDS, strict=True) for column in (name, f"{end}_low", f"{end}_high")),
    *("interval", "delta", "beta", "smoothness", "noise_scale", "c1_ratio_predicted", "c1_ratio_measured"),
    *("beta_all_weights", "smoothness_all_weights", "c1_ratio_predicted_all_weights"),
)
Constants = dict[str, "pd.Series[float]"]  # each measured constant by batch size, L by batch size and step


def theory_of_curves(
    studies: pd.DataFrame,
    trials: Mapping[str, pd.DataFrame],
    smoothness: pd.DataFrame,
    noise: pd.DataFrame,
    losses: pd.DataFrame,
) -> pd.DataFrame:
    """A row for each curve of K* in the studies; `trials` has the trials of each by the column `folder`."""
    rows, found = [], []
    for key, curve in studies.groupby(list(CURVE)):
        known = curve[(curve["state"] == "finished") & curve["steps_to_result"].notna()]
        constants = _constants(*(_of_curve(frame, curve.iloc[0]) for frame in (smoothness, noise, losses)))
        rows.append(dict(zip(CURVE, key, strict=True)) | _fitted(known, [trials[name] for name in known["folder"]]))
        rows[-1] |= {name: values.groupby("batch_size").mean().mean() for name, values in constants.items()}
        found.append(constants)
    curves = pd.DataFrame(rows, columns=list(CURVE))
    for row, own in zip(rows, found, strict=True):
        dense = _dense(curves, row)
        if dense is not None:
            row["c1_ratio_measured"] = _ratio(row.get("c1", math.nan), rows[dense].get("c1", math.nan))
            row["c1_ratio_predicted"] = _predicted(own, found[dense], FACTORS)
            row["c1_ratio_predicted_all_weights"] = _predicted(own, found[dense], FACTORS_ALL_WEIGHTS)
    numbers = {name: "float64" for name in COLUMNS if name not in ("workload", "pruning", "batch_sizes", "interval")}
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype({**numbers, "batch_sizes": "Int64"})


def _fitted(known: pd.DataFrame, trials: Sequence[pd.DataFrame]) -> dict[str, Any]:
    row: dict[str, Any] = {"batch_sizes": len(known), "interval": ""}
    if len(known) == 0:
        return row
    b, k = (known[name].to_numpy(float) for name in ("batch_size", "steps_to_result"))
    row["linear_limit"] = theory.linear_limit(b, k)
    if len(known) < theory.LEAST_BATCH_SIZES:
        return row
    found = theory.fit(b, k)
    bounds = [k_star.bounds(of_study) for of_study in trials]
    raced = any((low != high).any() for low, high in bounds)
    ends = intervals(b, k, None if raced else [high for _, high in bounds])
    row |= {"c1": found.c1, "c2": found.c2, "critical_batch_size": _finite(found.critical_batch_size)}
    for name, end in zip(FITTED, ENDS, strict=True):
        row[f"{end}_low"], row[f"{end}_high"] = map(_finite, getattr(ends, name))
    return row | {"interval": ends.resampled}


def _of_curve(measurements: pd.DataFrame, study: pd.Series[Any]) -> pd.DataFrame:
    """The measurements of the network of a study and of its workload, at any batch size."""
    same = [measurements[name] == study[name] for name in (*WORKLOAD, "sparsity")]
    return of_criterion(measurements[np.logical_and.reduce(same)], study["pruning"])


def _constants(smoothness: pd.DataFrame, noise: pd.DataFrame, losses: pd.DataFrame) -> Constants:
    """Each constant by batch size, and L by batch size and step, averaged over the trials.

    Both parts of the noise scale are averaged over the steps of a trial; beta and Delta are those of its start
    (Proposition 3.1).
    """
    trial = ["batch_size", "pruning", "trial"]
    start = noise[noise["step"] == 0]
    whole = losses.sort_values("step").groupby(trial)
    deltas = whole["train_loss"].agg(theory.delta)[whole["step"].min() == 0]
    parts = noise.groupby(trial)[["gradient_variance", "gradient_squared_norm"]].mean()
    by_step, at_start = after_step_0(smoothness).groupby(["batch_size", "step"]), start.groupby("batch_size")
    return {
        "delta": deltas.groupby("batch_size").mean(),
        "smoothness": by_step["smoothness"].mean(),
        "smoothness_all_weights": by_step["smoothness_all_weights"].mean(),
        "beta": at_start["gradient_variance"].mean(),
        "beta_all_weights": at_start["gradient_variance_all_weights"].mean(),
        "noise_scale": (parts["gradient_variance"] / parts["gradient_squared_norm"]).groupby("batch_size").mean(),
    }


def _dense(curves: pd.DataFrame, row: Mapping[str, Any]) -> int | None:
    """Which row of the curves is the dense network of the same grid; None where there is none."""
    of_grid = np.logical_and.reduce([curves[name] == row[name] for name in GRID])
    dense = recorded_with(curves[of_grid & (curves["sparsity"] == 0)], row["pruning"], GRID)
    return None if dense.empty else int(dense.index[0])


def _predicted(sparse: Constants, dense: Constants, factors: Sequence[str]) -> float:
    """The ratio from what was measured at the batch sizes, and of L at the steps, that both have."""
    terms = []
    for name in factors:
        common = sparse[name].index.intersection(dense[name].index)
        terms.append((sparse[name][common].mean(), dense[name][common].mean()))
    return theory.predicted_c1_ratio(*zip(*terms, strict=True))


def _ratio(above: float, below: float) -> float:
    return above / below if below else math.nan


def _finite(value: float) -> float:
    return value if math.isfinite(value) else math.nan
