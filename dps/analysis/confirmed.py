"""The confirmed K* of a study: the median steps of its best configuration over seeds that no search has used.

S seeds    C configurations
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dps.analysis.k_star import LEVEL, best_of
from dps.storage import confirmations

LEAST_SEEDS = 6  # of fewer, the least and the greatest enclose the median less often than LEVEL


def confirmed(folder: Path) -> pd.Series[Any] | None:
    """The row of a study's confirm.csv that holds its confirmed K*; None where no fresh seed has been trained."""
    frame = confirmations.read(folder)
    return None if frame is None else winner(frame)


def winner(frame: pd.DataFrame) -> pd.Series[Any] | None:
    """The configuration of the least median, of equal ones that which succeeds more often, then the search's better.

    Its `median_steps` is empty where no configuration reaches the goal in half of its seeds. None without any seed.
    """
    trained = frame[frame["seeds"] > 0]
    if trained.empty:
        return None
    ordered = trained.sort_values(["median_steps", "success_rate", "rank"], ascending=[True, False, True])
    return ordered.astype(object).iloc[0]  # else its integers would be floats


def summary(configurations: pd.DataFrame, steps: NDArray[np.float64], max_steps: int) -> pd.DataFrame:
    """The rows of confirm.csv: each configuration, as best_configurations has it, with what its fresh seeds did.

    `steps` (S, C) are steps to the goal, infinite where a seed did not arrive within `max_steps`. `success_rate` has
    Wilson's 95% interval. `median_steps` are the least steps by which half of the seeds have arrived, and two of them
    in their order are its 95% interval, as in k_star.best_of for a search of one trial; a number that is not known,
    or not finite, is empty.
    """
    found = [_of_one(column) for column in steps.T]
    rows = pd.DataFrame(found, index=configurations.index)
    whole = [name for name in rows.columns if not name.startswith("success")]
    rows = rows.astype(dict.fromkeys(whole, "Int64") | {n: "float64" for n in rows.columns if n not in whole})
    return configurations.join(rows).assign(max_steps=pd.array([max_steps] * len(rows), dtype="Int64"))


def _of_one(steps: NDArray[np.float64]) -> dict[str, float | None]:
    """The columns of one configuration, from the steps (S,) of its seeds."""
    from scipy.stats import binomtest

    seeds, arrived = len(steps), int(np.isfinite(steps).sum())
    row: dict[str, float | None] = {"seeds": seeds, "arrived": arrived}
    row |= dict.fromkeys(("success_rate", "success_low", "success_high", "median_steps", "median_low", "median_high"))
    if not seeds:
        return row
    interval = binomtest(arrived, seeds).proportion_ci(LEVEL, method="wilson")
    row |= {"success_rate": arrived / seeds, "success_low": interval.low, "success_high": interval.high}
    for name, value in zip(("median_steps", "median_low", "median_high"), best_of(steps, steps, 1), strict=True):
        row[name] = int(value) if math.isfinite(value) else None
    return row
