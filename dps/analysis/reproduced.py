"""A study that was trained again as it was: whether it ended as its record says."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import pandas as pd

from dps.analysis.pooled import one_more
from dps.storage import records

Verdict = Literal["same", "same K*", "within interval", "differs", "cannot tell"]
AGREE: tuple[Verdict, ...] = ("same", "same K*", "within interval")


class Comparison(NamedTuple):
    """K* of the record and of the new run, None where the goal was not reached, and what that comes to.

    `otherwise` counts the trials that ended otherwise, in whatever column but the seconds. `low` and `high` enclose 95%
    of further replicates, nan where they are not known.
    """

    verdict: Verdict
    before: int | None
    now: int | None
    otherwise: int
    trials: int
    low: float
    high: float


def compare(
    before: pd.DataFrame, after: pd.DataFrame, replicates: Sequence[int | None], same_software: bool
) -> Comparison:
    """What the trials of a record and of its repetition, as records.read has them, say of each other.

    `replicates` are K* of all replicates of the recorded study, None where the goal was not reached. On the same
    software K* must be the same. Elsewhere it must lie where one more replicate would, with a probability of 95%.
    """
    old, new = (frame.drop(columns=records.SECONDS).set_index("trial") for frame in (before, after))
    otherwise = len(old.compare(new.loc[old.index]))
    interval = int(before["interval_steps"].iloc[0])
    reached = [steps for steps in replicates if steps is not None]
    low, high = one_more(reached, interval) if len(reached) == len(replicates) else (math.nan, math.nan)
    k_stars = records.k_star(before), records.k_star(after)
    return Comparison(_verdict(*k_stars, otherwise, low, high, same_software), *k_stars, otherwise, len(old), low, high)


def _verdict(
    before: int | None, now: int | None, otherwise: int, low: float, high: float, same_software: bool
) -> Verdict:
    if before == now:
        return "same K*" if otherwise else "same"
    if same_software:
        return "differs"
    if math.isnan(low):
        return "cannot tell"
    return "within interval" if now is not None and low <= now <= high else "differs"
