"""Frames as tables of the page: numbers written for people, a value's interval below it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from pandas.api.types import is_numeric_dtype

from dps.analysis.study_table import SEARCHES
from dps.report.wording import interval, is_empty, shown

# Columns that hold the ends of another column's interval.
ENDS = {
    **{name: (f"{name}_low", f"{name}_high") for name in SEARCHES},
    "c1": ("c1_low", "c1_high"),
    "c2": ("c2_low", "c2_high"),
    "critical_batch_size": ("critical_low", "critical_high"),
    "linear_limit": ("linear_limit_low", "linear_limit_high"),
}
HEADERS = {"steps_to_result": "K*"}


@dataclass(frozen=True)
class Column:
    """A column's header, and whether it holds numbers."""

    header: str
    numeric: bool


@dataclass(frozen=True)
class Cell:
    """A value as people write it, its interval in words ("" where it has none), and the text that it sorts by."""

    text: str
    interval: str
    value: str
    numeric: bool


@dataclass(frozen=True)
class Sortable:
    """A table whose headers sort it, as templates/sortable.html writes it."""

    caption: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]


def sortable(frame: pd.DataFrame, caption: str, columns: Sequence[str], precise: Collection[str]) -> Sortable:
    """The frame's columns as a table; those of `precise` have a digit more."""
    numeric = {name: is_numeric_dtype(frame[name]) for name in columns}
    heads = [Column(HEADERS.get(name, name.replace("_", " ")), numeric[name]) for name in columns]
    rows = [[_cell(name, row, numeric[name], precise) for name in columns] for row in frame.to_dict(orient="records")]
    return Sortable(caption, heads, rows)


def filled(frame: pd.DataFrame, columns: Sequence[str]) -> list[str]:
    """Those of the columns that hold a value in any row."""
    return [name for name in columns if not all(is_empty(value) for value in frame[name])]


def _cell(name: str, row: Mapping[Any, Any], numeric: bool, precise: Collection[str]) -> Cell:
    value = row[name]
    ends = interval(name, *(row[end] for end in ENDS[name])) if name in ENDS else ""
    return Cell(shown(name, value, precise), ends, "" if is_empty(value) else str(value), numeric)
