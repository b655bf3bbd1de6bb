"""budget.csv: what K* a smaller budget of trials would have found."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from dps.analysis import k_star
from dps.analysis.columns import REPLICATE

COLUMNS = (*REPLICATE, "budget", "first_trials", "median", "reached")


def smaller_budgets(studies: pd.DataFrame, trials: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Rows for a quarter, half and all of the trials of each study; `trials` has them by the column `folder`.

    first_trials is K* of the first `budget` trials of the Sobol sequence; median that of a random subset of `budget`
    trials; reached the share of the subsets that reach the goal. Steps; empty where the goal is not reached, or where
    a trial that the race censored would decide.
    """
    rows = [
        {name: study[name] for name in REPLICATE} | row
        for study in studies[studies["state"] == "finished"].to_dict(orient="records")
        for row in _budgets(trials[study["folder"]])
    ]
    kinds = {"budget": "int64", "first_trials": "Int64", "median": "Int64", "reached": "float64"}
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(kinds)


def _budgets(trials: pd.DataFrame) -> Iterator[dict[str, Any]]:
    low, high = k_star.bounds(trials.sort_values("trial"))
    for budget in sorted({len(low) // 4, len(low) // 2, len(low)} - {0}):
        shares = k_star.budget_distribution(low, high, budget)
        first = k_star.first_trials(low, high, budget)
        unknown = low[low != high].min(initial=math.inf)
        yield {
            "budget": budget,
            "first_trials": int(first) if math.isfinite(first) else None,
            "median": _median(shares, unknown),
            "reached": 1 - shares.get(math.inf, 0.0) if math.isclose(sum(shares.values()), 1) else None,
        }


def _median(shares: Mapping[float, float], unknown: float) -> int | None:
    """The least K* that half of all subsets reach; None where they do not, or a censored trial may come before."""
    below = 0.0
    for steps, share in sorted(shares.items()):
        below += share
        if below >= 0.5:
            return int(steps) if steps < unknown else None
    return None
