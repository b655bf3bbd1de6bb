"""Frames as tables of the page: numbers written for people, a value's interval below it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from pandas.api.types import is_numeric_dtype

from dps.analysis.theory_table import ENDS
from dps.report.wording import interval, is_empty, shown

HEADERS = {"steps_to_result": "K*", "exponent": "exponent a"}


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
    ends = ends_of(frame)
    rows = [
        [_cell(name, row, ends.get(name, ()), numeric[name], precise) for name in columns]
        for row in frame.to_dict(orient="records")
    ]
    return Sortable(caption, heads, rows)


def ends_of(frame: pd.DataFrame) -> dict[str, tuple[str, str]]:
    """The columns of a frame that have an interval, each with the two that hold its ends."""
    ends = {name: ENDS.get(name, (f"{name}_low", f"{name}_high")) for name in frame.columns}
    return {name: pair for name, pair in ends.items() if pair[0] in ends}


def filled(frame: pd.DataFrame, columns: Sequence[str]) -> list[str]:
    """Those of the columns that hold a value in any row."""
    return [name for name in columns if not all(is_empty(value) for value in frame[name])]


def _cell(name: str, row: Mapping[Any, Any], ends: Sequence[str], numeric: bool, precise: Collection[str]) -> Cell:
    value = row[name]
    text = shown(name, value, precise)
    words = interval(name, *(row[end] for end in ends)) if ends else ""
    words = {f"at least {text}": "or more", f"at most {text}": "or less"}.get(words, words)
    return Cell(text, words, "" if is_empty(value) else str(value), numeric)
