"""k_star.csv: K* of each study over its replicates, which repeat it with other data, weights and search points.

R replicates
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dps.analysis.columns import CELL, PROTOCOL, STUDY
from dps.analysis.k_star import LEVEL

K_STAR = ("steps_to_result", "steps_to_result_low", "steps_to_result_high")
RATIO = ("ratio", "ratio_low", "ratio_high")
COLUMNS = (*PROTOCOL, *CELL, "trials", "replicates", "reached", *K_STAR, "state")
CONFIRMED = {  # the columns of confirm.csv that k_star.csv has, by its own names
    **{"confirmed_steps": "median_steps", "confirmed_steps_low": "median_low", "confirmed_steps_high": "median_high"},
    **{"success_rate": "success_rate", "success_rate_low": "success_low", "success_rate_high": "success_high"},
    **{"fresh_seeds": "seeds", "within_steps": "max_steps"},
    **{"confirmed_replicate": "replicate", "confirmed_trial": "trial"},
}
WHOLE = ("interval_steps", "max_steps", "batch_size", "trials", "replicates", "reached")
FRACTIONS = ("success_rate", "success_rate_low", "success_rate_high")


def pooled(studies: pd.DataFrame, confirmed: Mapping[str, pd.Series[Any]]) -> pd.DataFrame:
    """A row for each study of the rows of study.csv: K* in steps, the geometric mean over its replicates.

    `steps_to_result_low` and `_high` are the ends of its 95% interval, empty with one replicate. `replicates` are those
    that are finished, `reached` those of them that reached the goal; K* is empty where one did not. `trials` are those
    of the replicate that has the fewest of them. The state is "unfinished" while no replicate is finished.

    `confirmed` has the row of confirm.csv with the confirmed K* by the folder of the study. `confirmed_steps` is empty
    where fewer than half of the fresh seeds arrive; `success_rate` is of those that arrive in `within_steps`.
    """
    rows = [_row(rows, confirmed) for _, rows in studies.groupby(list(STUDY))]
    types = dict.fromkeys(WHOLE, "Int64") | dict.fromkeys(K_STAR, "float64")
    types |= {name: "float64" if name in FRACTIONS else "Int64" for name in CONFIRMED}
    return pd.DataFrame(rows, columns=[*COLUMNS, *CONFIRMED]).astype(types)


def geometric_mean(values: Sequence[float], interval: float = 0) -> tuple[float, float, float]:
    """The geometric mean of R positive values, one a replicate, and its t interval on the log scale; nan with one.

    The spread is taken to be no less than that of values spread evenly over the `interval` that they are rounded to,
    for K* that between two checks.
    """
    if len(values) == 1:
        return float(values[0]), math.nan, math.nan
    mean, reach = _reach(values, interval)
    half = reach / math.sqrt(len(values))
    return mean, mean * math.exp(-half), mean * math.exp(half)


def one_more(values: Sequence[float], interval: float = 0) -> tuple[float, float]:
    """The t interval, as geometric_mean has it, in which one more replicate lies; nan with one value.

    Either end is moved by half of the `interval` that this replicate is rounded to, too.
    """
    if len(values) == 1:
        return math.nan, math.nan
    mean, reach = _reach(values, interval)
    half = reach * math.sqrt(1 + 1 / len(values))
    return max(0.0, mean * math.exp(-half) - interval / 2), mean * math.exp(half) + interval / 2


def over_dense(studies: pd.DataFrame) -> pd.DataFrame:
    """K* of each sparse network over that of the dense one at the same batch size, a row for each that is known.

    `studies` has the rows of study.csv of one workload, goal and pruning criterion. `ratio` is the geometric mean over
    the `replicates` that are finished in both networks, `ratio_low` and `ratio_high` are the ends of its 95% interval,
    empty with one. Nothing is known where one of these replicates did not reach the goal.
    """
    same = ["batch_size", "replicate"]
    finished = studies[studies["state"] == "finished"]
    sparse, dense = finished[finished["sparsity"] > 0], finished[finished["sparsity"] == 0]
    pairs = sparse.merge(dense[[*same, "steps_to_result"]], on=same, suffixes=("", "_dense"))
    rows = []
    for place, own in pairs.groupby(["batch_size", "sparsity"]):
        steps = own[["steps_to_result", "steps_to_result_dense"]].to_numpy(float, na_value=np.nan)
        if np.isfinite(steps).all():
            rows.append((*place, len(own), *_ratio(steps, int(own["interval_steps"].iloc[0]))))
    return pd.DataFrame(rows, columns=["batch_size", "sparsity", "replicates", *RATIO])


def _reach(values: Sequence[float], interval: float) -> tuple[float, float]:
    """The geometric mean of several values, and the spread of their logarithms times the quantile of t."""
    from scipy.stats import t

    logs = np.log(values)
    mean = math.exp(logs.mean())
    spread = max(logs.std(ddof=1), interval / mean / math.sqrt(12))
    return mean, float(t.ppf((1 + LEVEL) / 2, len(logs) - 1)) * spread


def _ratio(steps: NDArray[np.float64], interval: int) -> tuple[float, float, float]:
    """The geometric mean of K* sparse over K* dense, both in `steps` (R, 2), and its interval.

    Both are rounded to `interval`, whose parts of the two add up as independent errors do.
    """
    sparse, dense = np.exp(np.log(steps).mean(axis=0))
    return geometric_mean((steps[:, 0] / steps[:, 1]).tolist(), interval / dense * math.hypot(1, sparse / dense))


def _row(replicates: pd.DataFrame, confirmed: Mapping[str, pd.Series[Any]]) -> dict[str, Any]:
    first = replicates.iloc[0]
    finished = replicates[replicates["state"] == "finished"]
    known = finished["steps_to_result"].dropna()
    row = {name: first[name] for name in (*PROTOCOL, *CELL)}
    counted = replicates if finished.empty else finished
    row |= {"trials": counted["trials"].min(), "replicates": len(finished), "reached": len(known)}
    row["state"] = "unfinished" if finished.empty else "finished"
    if len(known) == len(finished) > 0:
        row |= dict(zip(K_STAR, geometric_mean(known.tolist(), int(first["interval_steps"])), strict=True))
    for folder in filter(confirmed.__contains__, replicates["folder"]):
        row |= {name: confirmed[folder][column] for name, column in CONFIRMED.items()}
    return row
