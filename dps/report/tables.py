"""Frames as HTML tables: numbers written for people, a value's interval below it, headers that sort."""

from collections.abc import Sequence
from html import escape
from typing import Any

import pandas as pd
from pandas.api.types import is_numeric_dtype

from dps.report.wording import interval, is_empty, shown

# Columns that hold the ends of another column's interval.
ENDS = {
    "steps_to_result": ("steps_low", "steps_high"),
    "c1": ("c1_low", "c1_high"),
    "c2": ("c2_low", "c2_high"),
    "critical_batch_size": ("critical_low", "critical_high"),
    "linear_limit": ("linear_limit_low", "linear_limit_high"),
}
HEADERS = {"steps_to_result": "K*"}


def table(frame: pd.DataFrame, caption: str, columns: Sequence[str]) -> str:
    """The frame's columns as a table that sorts, in a box of its own that scrolls where it is too wide."""
    numeric = {name: is_numeric_dtype(frame[name]) for name in columns}
    heads = "".join(_head(name, numeric[name]) for name in columns)
    records = frame.to_dict(orient="records")
    rows = "".join(f"<tr>{''.join(_cell(name, row, numeric[name]) for name in columns)}</tr>\n" for row in records)
    return (
        f'<div class="wide" tabindex="0" role="region" aria-label="{escape(caption)}">\n<table class="sortable">'
        f"<caption>{escape(caption)}</caption>\n<thead><tr>{heads}</tr></thead>\n<tbody>\n{rows}</tbody></table></div>\n"
    )


def filled(frame: pd.DataFrame, columns: Sequence[str]) -> list[str]:
    """Those of the columns that hold a value in any row."""
    return [name for name in columns if not all(is_empty(value) for value in frame[name])]


def _head(name: str, numeric: bool) -> str:
    text = escape(HEADERS.get(name, name.replace("_", " ")))
    kind = ' class="number"' if numeric else ""
    return f'<th scope="col" aria-sort="none"{kind}><button type="button">{text}</button></th>'


def _cell(name: str, row: dict[Any, Any], numeric: bool) -> str:
    value = row[name]
    text = escape(shown(name, value)).replace("_", "_<wbr>")
    if name in ENDS and (ends := interval(name, *(row[end] for end in ENDS[name]))):
        text += f" <small>{escape(ends)}</small>"
    kind = ' class="number"' if numeric else ""
    return f'<td{kind} data-value="{"" if is_empty(value) else escape(str(value))}">{text}</td>'
