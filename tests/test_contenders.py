"""Which configurations of a search are worth training again."""

from typing import Any

import pandas as pd
from report_trials import TYPES

from dps.analysis.contenders import best_configurations
from dps.storage import trial_rows


def search(replicate: int, *trials: dict[str, Any]) -> pd.DataFrame:
    """A frame of trials, numbered from 0, as records.read has them."""
    rows = [{"replicate": replicate, "trial": number, **trial} for number, trial in enumerate(trials)]
    return pd.DataFrame(
        {name: pd.Series([row.get(name) for row in rows], dtype=TYPES[kind]) for name, kind in trial_rows.TYPES.items()}
    )


def complete(lr: float, steps: int, **others: Any) -> dict[str, Any]:
    return {"status": "complete", "steps_to_result": steps, "lr": lr, "validation_error": 0.01, **others}


def stopped(status: str, lr: float, error: float | None) -> dict[str, Any]:
    return {"status": status, "lr": lr, "validation_error": error}


def test_those_that_arrived_come_first_then_those_that_might_have_then_those_that_did_not() -> None:
    trials = search(
        0,
        stopped("incomplete", 0.1, 0.03),
        stopped("censored", 0.2, 0.30),
        complete(0.3, 64),
        stopped("censored", 0.4, 0.20),
        stopped("incomplete", 0.5, 0.02),
        stopped("infeasible", 0.6, None),
        complete(0.7, 48),
    )
    found = best_configurations([trials], 10)
    assert found["trial"].tolist() == [6, 2, 3, 1, 4, 0]
    assert found["rank"].tolist() == [1, 2, 3, 4, 5, 6]
    assert found["steps_found"].tolist()[:2] == [48, 64] and found["steps_found"].isna().tolist()[2:] == [True] * 4
    assert best_configurations([trials], 3)["trial"].tolist() == [6, 2, 3]


def test_replicates_are_pooled_and_decide_between_equals() -> None:
    searches = [search(0, complete(0.1, 80), complete(0.2, 48)), search(1, complete(0.3, 48), complete(0.4, 32))]
    found = best_configurations(searches, 10)
    assert list(zip(found["replicate"], found["trial"], found["lr"], strict=True)) == [
        (1, 1, 0.4),
        (0, 1, 0.2),
        (1, 0, 0.3),
        (0, 0, 0.1),
    ]


def test_the_same_metaparameters_are_one_configuration() -> None:
    searches = [search(0, complete(0.1, 48), complete(0.1, 80), complete(0.1, 64, momentum=0.9))]
    searches.append(search(1, complete(0.1, 32)))
    found = best_configurations(searches, 10)
    assert list(zip(found["replicate"], found["trial"], strict=True)) == [(1, 0), (0, 2)]


def test_a_metaparameter_that_the_study_does_not_have_is_no_column() -> None:
    found = best_configurations([search(0, complete(0.1, 48)), search(1)], 5)
    assert list(found.columns) == ["rank", "replicate", "trial", "lr", "steps_found"]
