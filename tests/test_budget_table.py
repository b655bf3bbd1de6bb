"""The budget table against K* of every subset of a study's trials, counted one by one."""

import itertools
import math
import statistics
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pytest

from dps.analysis.results import gather
from dps.storage import records


def budgets(folder: Path, steps: Sequence[float | None], censored_at: int = 0) -> pd.DataFrame:
    """The rows of a study with these steps-to-result: inf incomplete, None censored."""
    rows = []
    for trial, step in enumerate(steps):
        row = {"workload": "w", "goal_error": 0.02, "batch_size": 8, "sparsity": 0.5, "pruning": "snip", "trial": trial}
        row |= {"seed": trial, "interval_steps": 16, "max_steps": 640, "lr": 0.1, "dataset": "d", "model": "m"}
        row |= {"optimizer": "sgd", "lr_schedule": "constant", "replicate": 0}
        if step is None:
            row |= {"status": "censored", "steps_run": censored_at}
        elif math.isinf(step):
            row |= {"status": "incomplete", "steps_run": 640}
        else:
            row |= {"status": "complete", "steps_run": int(step), "steps_to_result": int(step)}
        rows.append(row)
    records.merge(folder, rows)
    return gather([folder]).budgets.set_index("budget")


def test_every_subset_of_a_study_without_race(tmp_path: Path) -> None:
    steps = [64, math.inf, 32, 48, math.inf, 96, 32, math.inf]
    found = budgets(tmp_path, steps)
    assert list(found.index) == [2, 4, 8]
    for budget in (2, 4, 8):
        least = [min(chosen) for chosen in itertools.combinations(steps, budget)]
        assert found["first_trials"][budget] == min(steps[:budget])
        assert found["median"][budget] == statistics.median_low(least)
        assert found["reached"][budget] == pytest.approx(sum(map(math.isfinite, least)) / len(least))


def test_a_goal_that_few_reach_has_no_median(tmp_path: Path) -> None:
    found = budgets(tmp_path, [math.inf, math.inf, math.inf, math.inf, math.inf, math.inf, math.inf, 16])
    assert pd.isna(found["median"][2]) and pd.isna(found["first_trials"][4])
    assert found["reached"][2] == pytest.approx(2 / 8)
    assert found["first_trials"][8] == found["median"][8] == 16


def test_what_a_censored_trial_decides_stays_open(tmp_path: Path) -> None:
    found = budgets(tmp_path, [None, 96, None, None, 80, None, None, None], censored_at=80)
    assert found["first_trials"].isna().to_dict() == {2: True, 4: True, 8: False}
    assert found["median"].isna().to_dict() == {2: True, 4: False, 8: False}  # 4: half of the subsets hold the winner
    assert found["median"][4] == found["first_trials"][8] == 80
    assert found["reached"].isna().to_dict() == {2: True, 4: True, 8: False}
