"""The durable record of a study: trials.csv, one row a trial, safe to write from several processes at once."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dps.protocol import metaparameters
from dps.protocol.metaparameters import Metaparameter
from dps.protocol.outcome import STATUSES
from dps.protocol.values import shown
from dps.storage.files import damaged, lock, read_csv, write_csv

if TYPE_CHECKING:
    import pandas as pd

FILE = "trials.csv"
_BEFORE: dict[str, type[str | float]] = {
    **dict.fromkeys(("workload", "dataset", "model", "optimizer", "lr_schedule", "pruning"), str),
    "batch_size": int,
    "sparsity": float,
    "replicate": int,
    **dict.fromkeys(("trial", "seed"), int),
}
_AFTER: dict[str, type[str | float]] = {
    "goal_error": float,
    **dict.fromkeys(("interval_steps", "max_steps"), int),
    "status": str,
    **dict.fromkeys(("steps_to_result", "steps_run"), int),
    **dict.fromkeys(("validation_error", "test_error", "train_seconds", "evaluate_seconds"), float),
}
# Between them stand the metaparameters: those of the protocol, then those that a configuration declares.
TYPES: dict[str, type[str | float]] = {**_BEFORE, **{row.name: row.type for row in metaparameters.TABLE}, **_AFTER}
COLUMNS = tuple(TYPES)
FORMERLY_ABSENT = ("replicate",)  # from records of before version 0.2
REMEDY = "restore the file, or remove it to run its trials again"
Row = dict[str, Any]


def read(folder: Path) -> pd.DataFrame:
    """The trials of a study sorted by trial, without rows where none is recorded; ValueError on a damaged file.

    A record of before replicates is that of replicate 0.

    The columns are COLUMNS, with declared metaparameters after those of the protocol.
    """
    import pandas as pd

    columns, rows = _read_rows(folder / FILE)
    dtypes = {str: "str", int: "Int64", float: "float64"}
    types = _types(columns, rows)
    return pd.DataFrame({name: pd.Series([row[name] for row in rows], dtype=dtypes[types[name]]) for name in columns})


def metaparameters_of(frame: pd.DataFrame) -> list[str]:
    """The columns of a frame of trials that hold metaparameters: those between seed and goal_error."""
    columns = list(frame.columns)
    return columns[columns.index("seed") + 1 : columns.index("goal_error")]


def merge(folder: Path, rows: Sequence[Mapping[str, Any]], declared: Sequence[str] = ()) -> None:
    """Adds the rows to the study's record, in place of those of the same trial; None, NaN and absent mean empty.

    `declared` are the names of the metaparameters that the study's configuration declares.
    """
    path = folder / FILE
    with lock(folder):
        there, old = _read_rows(path)
        columns = _columns([*there, *declared])
        by_trial: dict[int, Row] = {row["trial"]: row for row in old}
        by_trial.update((row["trial"], row) for row in (_checked(row, columns) for row in rows))
        ordered = (by_trial[trial] for trial in sorted(by_trial))
        write_csv(path, columns, ([_text(row.get(name)) for name in columns] for row in ordered))


def _columns(names: Iterable[str]) -> tuple[str, ...]:
    declared = dict.fromkeys(name for name in names if name not in TYPES)
    last = list(_AFTER)
    return (*(name for name in COLUMNS if name not in last), *declared, *last)


class Finishers:
    """The trials of a study that any of its jobs has recorded as complete."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE
        self._version: tuple[int, int, int] | None = None
        self._steps: dict[int, int] = {}

    def __call__(self, step: int) -> set[int]:
        """Those that reached the goal by this step; reads the record again only where it has changed.

        ValueError on a damaged file.
        """
        try:
            stat = self._path.stat()
        except FileNotFoundError:
            return set()
        version = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
        if version != self._version:
            rows = _read_rows(self._path)[1]
            self._steps = {row["trial"]: row["steps_to_result"] for row in rows if row["status"] == "complete"}
            self._version = version
        return {trial for trial, steps in self._steps.items() if steps <= step}


def refuse_conflict(
    folder: Path, trials: Sequence[Mapping[str, Any]], searched: Sequence[Metaparameter] = metaparameters.TABLE
) -> None:
    """ValueError where a trial about to run (trial, lr, momentum, ...) is recorded with other metaparameters."""
    recorded = {row["trial"]: row for row in _read_rows(folder / FILE)[1]}
    for asked in trials:
        row = recorded.get(asked["trial"])
        if row is None:
            continue
        pairs = {one.option: (row.get(one.name), _converted(one.type, asked.get(one.name))) for one in searched}
        pairs["seed"] = row["seed"], asked["seed"]
        different = [f"{option}={shown(old)}, not {shown(new)}" for option, (old, new) in pairs.items() if old != new]
        if different:
            raise ValueError(
                f"{folder / FILE} holds trial {row['trial']} with {' and '.join(different)}; ask for another trial "
                "number, or another folder with hydra.run.dir=FOLDER, in a sweep with hydra.sweep.dir=FOLDER"
            )


def best(frame: pd.DataFrame) -> pd.Series[Any] | None:
    """The trial whose steps_to_result is K*, the lowest trial number among equals; None where none is complete."""
    complete = frame[frame["status"] == "complete"]
    return None if complete.empty else complete.sort_values(["steps_to_result", "trial"]).iloc[0]


def _read_rows(path: Path) -> tuple[tuple[str, ...], list[Row]]:
    """The columns, and the rows in the order of their trials."""
    if (found := read_csv(path, _expected, REMEDY)) is None:
        return COLUMNS, []
    header, lines = found
    rows: dict[int, Row] = {}
    for line, values in lines:
        row = _parsed(path, line, {"replicate": "0"} | dict(zip(header, values, strict=True)))
        if row["trial"] in rows:
            raise damaged(path, f"line {line} repeats trial {row['trial']}", REMEDY)
        rows[row["trial"]] = row
    return _columns(header), [rows[trial] for trial in sorted(rows)]


def _expected(header: Sequence[str]) -> tuple[str, ...]:
    """The columns of a record with as many declared metaparameters as the header has, by the names that it has."""
    known = [name for name in COLUMNS if name in header or name not in FORMERLY_ABSENT]
    first = len(known) - len(_AFTER)
    expected = _columns(header[first : first + max(0, len(header) - len(known))])
    return tuple(name for name in expected if name in header or name not in FORMERLY_ABSENT)


def _types(columns: Sequence[str], rows: Sequence[Row]) -> dict[str, type[str | float]]:
    """A declared metaparameter is of integers where all its values are."""
    declared = [name for name in columns if name not in TYPES]
    values = {name: [row[name] for row in rows if row[name] is not None] for name in declared}
    found = {name: int if all(isinstance(value, int) for value in values[name]) else float for name in declared}
    return {**TYPES, **found}


def _parsed(path: Path, line: int, texts: Mapping[str, str]) -> Row:
    row: Row = {}
    for name, text in texts.items():
        kind = TYPES.get(name) or (int if text.lstrip("-").isdecimal() else float)
        try:
            row[name] = kind(text) if text or kind is str else None
        except ValueError:
            number = "an integer" if kind is int else "a number"
            raise damaged(path, f"line {line}, column {name}: {text!r} is not {number}", REMEDY) from None
    wrong = ""
    if row["status"] not in STATUSES:
        wrong = f"status: {row['status']!r} is not one of {', '.join(STATUSES)}"
    elif row["trial"] is None:
        wrong = "trial: it is empty"
    elif (row["steps_to_result"] is None) == (row["status"] == "complete"):
        wrong = "steps_to_result: exactly the complete trials have one"
    if wrong:
        raise damaged(path, f"line {line}, column {wrong}", REMEDY)
    return row


def _checked(row: Mapping[str, Any], columns: Sequence[str]) -> Row:
    assert set(row) <= set(columns), f"unknown columns {set(row) - set(columns)}"
    checked = {name: _converted(TYPES.get(name, type(row.get(name))), row.get(name)) for name in columns}
    assert checked["status"] in STATUSES, checked["status"]
    assert checked["trial"] is not None
    assert (checked["steps_to_result"] is not None) == (checked["status"] == "complete"), checked
    return checked


def _converted(kind: type, value: Any) -> str | float | None:
    if kind is str:
        return "" if value is None else str(value)
    if value is None or math.isnan(value):
        return None
    return operator.index(value) if kind is int else float(value)


def _text(value: str | float | None) -> str:
    return "" if value is None else str(value)
