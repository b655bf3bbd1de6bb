"""The verdict on a study that was trained again, from the trials of its record and those of its repetition."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest

from dps.analysis.reproduced import compare
from dps.storage import trial_rows

REPLICATES = [160, 240, 208]  # 95% of further ones lie within 64 to 564


def trials(k_star: int | None, test_error: float | None = 0.1) -> pd.DataFrame:
    """Two of them, one of which the race has stopped."""
    row = dict.fromkeys(trial_rows.COLUMNS) | {"interval_steps": 16, "max_steps": 4000, "train_seconds": 1.0}
    first: dict[str, Any] = {"trial": 0, "status": "complete" if k_star else "incomplete", "steps_to_result": k_star}
    first |= {"steps_run": k_star or 4000, "test_error": test_error}
    second = {"trial": 1, "status": "censored", "steps_to_result": None, "steps_run": 160, "test_error": None}
    dtypes = {str: "str", int: "Int64", float: "float64"}
    frame = pd.DataFrame([row | first, row | second])
    return frame.astype({name: dtypes[kind] for name, kind in trial_rows.TYPES.items()})


@pytest.mark.parametrize(
    ("now", "k_stars", "same_software", "verdict"),
    [
        (trials(160), REPLICATES, True, "same"),
        (trials(160, test_error=0.11), REPLICATES, True, "same K*"),
        (trials(160, test_error=None), REPLICATES, False, "same K*"),
        (trials(176), REPLICATES, True, "differs"),
        (trials(176), REPLICATES, False, "within interval"),
        (trials(80), REPLICATES, False, "within interval"),
        (trials(48), REPLICATES, False, "differs"),
        (trials(576), REPLICATES, False, "differs"),
        (trials(None), REPLICATES, False, "differs"),
        (trials(176), [160], False, "cannot tell"),
        (trials(176), [160, 240, None], False, "cannot tell"),
        (trials(176), [160], True, "differs"),
    ],
)
def test_the_verdict(now: pd.DataFrame, k_stars: Sequence[int | None], same_software: bool, verdict: str) -> None:
    before = trials(160).assign(train_seconds=2.0)
    found = compare(before, now, k_stars, same_software)
    assert found.verdict == verdict
    assert (found.before, found.trials) == (160, 2)
    assert found.now == (None if now["status"].iloc[0] == "incomplete" else now["steps_to_result"].iloc[0])
    assert found.otherwise == (verdict != "same")


def test_the_interval_is_that_of_one_more_replicate() -> None:
    found = compare(trials(160), trials(160), REPLICATES, False)
    logs = np.log(REPLICATES)
    half = 4.302653 * logs.std(ddof=1) * math.sqrt(4 / 3)  # t of two degrees of freedom, from a printed table
    low, high = np.exp([logs.mean() - half, logs.mean() + half])
    assert (found.low, found.high) == pytest.approx((low - 8, high + 8), rel=1e-6)


def test_a_study_that_never_reached_its_goal_is_the_same_where_it_does_not_now() -> None:
    assert compare(trials(None), trials(None), [None], True).verdict == "same"
    assert compare(trials(None), trials(160), [None, 160], False).verdict == "cannot tell"
