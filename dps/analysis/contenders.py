"""The best configurations of a search: the choices of metaparameters that are worth training again."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from dps.storage import records

# How far a trial came, best first. A censored one was stopped early, and might have arrived.
ORDER = {"complete": 0, "censored": 1, "incomplete": 2}


def best_configurations(searches: Sequence[pd.DataFrame], count: int) -> pd.DataFrame:
    """The `count` best different choices of metaparameters among the trials of a study, best first.

    `searches` are the trials of its replicates, each as records.read has them. The trials that reached the goal come
    first, by their steps; then those that a race censored, and those that spent the budget. Between equals the
    validation error at their end decides, then replicate and trial. Columns: `rank` from 1, `replicate`, `trial`, the
    study's metaparameters, and `steps_found`, which is empty unless that trial was complete.
    """
    trials = pd.concat([frame for frame in searches if not frame.empty], ignore_index=True)
    names = [name for name in records.metaparameters_of(trials) if trials[name].notna().any()]
    trials = trials[trials["status"].isin(list(ORDER))]
    trials = trials.assign(came=trials["status"].map(ORDER), steps_found=trials["steps_to_result"])
    ranked = trials.sort_values(["came", "steps_found", "validation_error", "replicate", "trial"])
    best = ranked.drop_duplicates(names).head(count).reset_index(drop=True)
    best["rank"] = pd.Series(range(1, len(best) + 1), dtype="Int64")
    return best[["rank", "replicate", "trial", *names, "steps_found"]]
