"""theory.csv: for each curve of K* its fit, and the constants that the theory says it comes from."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from dps.analysis import theory
from dps.analysis.measured import after_step_0
from dps.analysis.study_folder import StudyFolder

CURVE = ("workload", "goal_error", "pruning", "sparsity")
SETTING = ("workload", "dataset", "model", "optimizer", "lr_schedule", "pruning", "sparsity")
FITTED = ("c1", "c2", "critical_batch_size", "linear_limit")
ENDS = ("c1", "c2", "critical", "linear_limit")
MEASURED = ("delta", "smoothness", "beta")
ALL_WEIGHTS = ("delta", "smoothness_all_weights", "beta_all_weights")  # with the gradients of pruned weights
COLUMNS = (
    *("workload", "goal_error", "sparsity", "pruning", "batch_sizes"),
    *(column for name, end in zip(FITTED, ENDS, strict=True) for column in (name, f"{end}_low", f"{end}_high")),
    *("interval", "delta", "beta", "smoothness", "noise_scale", "c1_ratio_predicted", "c1_ratio_measured"),
    *("beta_all_weights", "smoothness_all_weights", "c1_ratio_predicted_all_weights"),
)
Measured = dict[str, "pd.Series[float]"]  # a quantity by batch size, L by batch size and step


def table(
    studies: pd.DataFrame,
    folders: Mapping[str, StudyFolder],
    smoothness: pd.DataFrame,
    noise: pd.DataFrame,
    curves: pd.DataFrame,
) -> pd.DataFrame:
    """A row for each curve of the studies; `folders` has their folders by the column `folder`."""
    rows, found = [], []
    for key, group in studies.groupby(list(CURVE)):
        known = group[(group["state"] == "finished") & group["steps_to_result"].notna()]
        setting = tuple(group.iloc[0][list(SETTING)])
        measured = _measured(*(_of(frame, setting) for frame in (smoothness, noise, curves)))
        rows.append(dict(zip(CURVE, key, strict=True)) | _fitted(known, [folders[name] for name in known["folder"]]))
        rows[-1] |= {name: values.groupby("batch_size").mean().mean() for name, values in measured.items()}
        found.append(measured)
    for row, own in zip(rows, found, strict=True):
        dense = _dense(rows, row)
        if dense is not None:
            row["c1_ratio_measured"] = _ratio(row.get("c1", math.nan), rows[dense].get("c1", math.nan))
            row["c1_ratio_predicted"] = _predicted(own, found[dense], MEASURED)
            row["c1_ratio_predicted_all_weights"] = _predicted(own, found[dense], ALL_WEIGHTS)
    numbers = {name: "float64" for name in COLUMNS if name not in ("workload", "pruning", "batch_sizes", "interval")}
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype({**numbers, "batch_sizes": "Int64"})


def bounds(trials: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Between which steps (N,) each trial reaches the goal, as dps.analysis.theory takes them."""
    high = trials["steps_to_result"].astype("float64").fillna(math.inf).to_numpy()
    censored = (trials["status"] == "censored").to_numpy()
    return np.where(censored, trials["steps_run"].astype("float64").fillna(0).to_numpy() + 1, high), high


def _fitted(known: pd.DataFrame, folders: Sequence[StudyFolder]) -> dict[str, Any]:
    row: dict[str, Any] = {"batch_sizes": len(known), "interval": ""}
    if len(known) == 0:
        return row
    b, k = (known[name].to_numpy(float) for name in ("batch_size", "steps_to_result"))
    row["linear_limit"] = theory.linear_limit(b, k)
    if len(known) < 3:
        return row
    found = theory.fit(b, k)
    trials = [bounds(folder.trials) for folder in folders]
    raced = any((low != high).any() for low, high in trials)
    ends = theory.intervals(b, k, None if raced else [high for _, high in trials])
    row |= {"c1": found.c1, "c2": found.c2, "critical_batch_size": _finite(found.critical_batch_size)}
    for name, end in zip(FITTED, ENDS, strict=True):
        row[f"{end}_low"], row[f"{end}_high"] = map(_finite, getattr(ends, name))
    return row | {"interval": ends.resampled}


def _of(frame: pd.DataFrame, setting: tuple[Any, ...]) -> pd.DataFrame:
    """The measurements of a curve; those of a dense network under any pruning criterion, as it has no effect there."""
    names = SETTING if setting[-1] > 0 else tuple(name for name in SETTING if name != "pruning")
    wanted = dict(zip(SETTING, setting, strict=True))
    return frame[np.logical_and.reduce([frame[name] == wanted[name] for name in names])]


def _measured(smoothness: pd.DataFrame, noise: pd.DataFrame, curves: pd.DataFrame) -> Measured:
    """Each quantity by batch size, and L by batch size and step, averaged over the trials.

    Both parts of the noise scale are averaged over the steps of a trial; beta and Delta are those of its start
    (Proposition 3.1).
    """
    trial = ["batch_size", "pruning", "trial"]
    start = noise[noise["step"] == 0]
    whole = curves.sort_values("step").groupby(trial)
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


def _dense(rows: Sequence[Mapping[str, Any]], row: Mapping[str, Any]) -> int | None:
    """Which row is the dense network of the same workload and goal, rather that with the same pruning criterion."""
    same = ("workload", "goal_error")
    dense = [i for i, one in enumerate(rows) if one["sparsity"] == 0 and all(one[name] == row[name] for name in same)]
    return min(dense, key=lambda i: rows[i]["pruning"] != row["pruning"], default=None)


def _predicted(sparse: Measured, dense: Measured, constants: Sequence[str]) -> float:
    """The ratio from what was measured at the batch sizes, and of L at the steps, that both have."""
    terms = []
    for name in constants:
        common = sparse[name].index.intersection(dense[name].index)
        terms.append((sparse[name][common].mean(), dense[name][common].mean()))
    return theory.predicted_c1_ratio(*zip(*terms, strict=True))


def _ratio(above: float, below: float) -> float:
    return above / below if below else math.nan


def _finite(value: float) -> float:
    return value if math.isfinite(value) else math.nan
