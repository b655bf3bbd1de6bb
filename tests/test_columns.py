"""docs/columns.md, the data dictionary: every column of every CSV file in order, its type, and when it is empty."""

import re
from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from pathlib import Path

import pandas as pd
import pytest

from dps.analysis.claims.claim import Claim
from dps.analysis.results import gather
from dps.storage import confirmations, measurements, run_ids, trial_rows
from dps.storage.measurements import Measurement

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "columns.md").read_text()
KINDS = {"int64": "integer", "Int64": "integer", "float64": "number", "str": "text", "object": "text"}
PUBLISHED = sorted((ROOT / "outputs" / "published").rglob("trials.csv"))
FILES = re.findall(r"^## (\w+\.csv)$", PAGE, re.MULTILINE)


def of_frame(frame: pd.DataFrame) -> dict[str, str]:
    return {str(name): KINDS[str(dtype)] for name, dtype in frame.dtypes.items()}


def of_types(types: Mapping[str, type]) -> dict[str, str]:
    return {name: {str: "text", int: "integer", float: "number"}[kind] for name, kind in types.items()}


def of_measurement(kind: Measurement) -> dict[str, str]:
    return {"trial": "integer", "step": "integer"} | dict.fromkeys(kind.values, "number")


@cache
def written() -> dict[str, dict[str, str]]:
    """The type of each column of each file, in order."""
    results = gather([PUBLISHED[0].parent])
    return {
        "trials.csv": of_types(trial_rows.TYPES),
        "study.csv": of_frame(results.studies),
        "k_star.csv": of_frame(results.k_star),
        "confirm.csv": of_types(confirmations.KNOWN),
        "theory.csv": of_frame(results.theory),
        "budget.csv": of_frame(results.budgets),
        "claims.csv": of_types({field.name: field.type for field in fields(Claim)}),  # type: ignore[misc]
        "smoothness.csv": of_measurement(measurements.SMOOTHNESS),
        "noise.csv": of_measurement(measurements.NOISE),
        "curves.csv": of_measurement(measurements.CURVES),
        "wandb.csv": {"trial": "integer", **dict.fromkeys(run_ids.COLUMNS[1:], "text")},
    }


def documented(file: str) -> dict[str, tuple[str, str]]:
    """Type and "empty" of each column by its name, as the table below the heading has them."""
    section = PAGE.partition(f"\n## {file}\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`.*?) \| (\w+)[^|]* \| [^|]+ \| ([^|]+) \|$", section, re.MULTILINE)
    return {name: (kind, empty) for names, kind, empty in rows for name in re.findall(r"`(\w+)`", names)}


def test_every_file_has_its_section() -> None:
    listed = PAGE.partition("\n## ")[0]
    assert FILES == list(written()) == re.findall(r"\[`(\w+\.csv)`\]\(#\w+csv\)", listed)


@pytest.mark.parametrize("file", FILES)
def test_the_columns_are_those_that_are_written(file: str) -> None:
    found = {name: kind for name, (kind, _) in documented(file).items()}
    assert list(found.items()) == list(written()[file].items())


def test_a_cell_of_the_published_trials_is_empty_where_the_page_says_so() -> None:
    trials = pd.concat(map(pd.read_csv, PUBLISHED))
    complete, infeasible = trials["status"] == "complete", trials["status"] == "infeasible"
    for name, (_, empty) in documented("trials.csv").items():
        if name not in trials or name == "replicate":
            continue
        if empty == "never":
            assert trials[name].notna().all(), name
        elif empty == "unless `complete`":
            assert (trials[name].notna() == complete).all(), name
        elif empty == "`infeasible`":
            assert (trials[name].isna() == infeasible).all(), name
