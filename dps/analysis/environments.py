"""What trained the trials: the environments that studies recorded, and where the studies differ in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

COLUMNS = ("folder", "key", "value")
UNKNOWN = "not recorded"


def tabulated(by_folder: Mapping[str, Sequence[Mapping[str, Any]]]) -> pd.DataFrame:
    """A row for each study, key and value of its environments, as text: the columns COLUMNS, each row once.

    A key that another environment has, and this one lacks, has the value UNKNOWN; a study without any has no row.
    """
    every = [environment for of_study in by_folder.values() for environment in of_study]
    keys = list(dict.fromkeys(str(key) for environment in every for key in environment))
    rows = [
        (folder, key, _text(environment.get(key)))
        for folder, of_study in by_folder.items()
        for environment in of_study
        for key in keys
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS), dtype="str").drop_duplicates(ignore_index=True)


def shared(environments: pd.DataFrame) -> dict[str, str]:
    """The keys with the same value wherever an environment is recorded, and that value."""
    by_key = environments.groupby("key", sort=False)["value"]
    return {str(key): values.iloc[0] for key, values in by_key if values.nunique() == 1}


def differences(environments: pd.DataFrame, studies: int) -> list[str]:
    """A sentence for each key with several values, with the number of studies of each, most first.

    And one on those of the `studies` that record no environment. A study trained in two environments counts in both.
    """
    without = studies - environments["folder"].nunique()
    if without == studies:
        return ["No study records the environment that trained it."]
    sentences = []
    for key, rows in environments.groupby("key", sort=False):
        counts = rows["value"].value_counts(sort=False).sort_values(ascending=False, kind="stable")
        if len(counts) > 1:
            parts = [f"{value} in {_studies(count)}" for value, count in counts.items()]
            sentences.append(f"{key} differs: {', '.join(parts)}.")
    if without:
        sentences.append(f"{_studies(without)} {'records' if without == 1 else 'record'} no environment.")
    return sentences


def changes(before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """What differs between the environments of two runs of a study: by key, as "2.15.0 -> 2.16.1"."""
    found = {}
    for key in dict.fromkeys(str(key) for one in (*before, *after) for key in one):
        old, new = (" and ".join(dict.fromkeys(_text(one.get(key)) for one in side)) for side in (before, after))
        if old != new:
            found[key] = f"{old or UNKNOWN} -> {new or UNKNOWN}"
    return found


def _studies(count: int) -> str:
    return f"{count} {'study' if count == 1 else 'studies'}"


def _text(value: Any) -> str:
    if value is None:
        return UNKNOWN
    return str(value).lower() if isinstance(value, bool) else str(value)
