"""The durable record of a study: trials.csv, one row a trial, safe to write from several processes at once."""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dps.storage.files import damaged, lock, read_csv, write_csv

if TYPE_CHECKING:
    import pandas as pd

FILE = "trials.csv"
STATUSES = ("complete", "incomplete", "infeasible", "censored")
TYPES: dict[str, type[str | float]] = {
    **dict.fromkeys(("workload", "dataset", "model", "optimizer", "lr_schedule", "pruning"), str),
    "batch_size": int,
    "sparsity": float,
    **dict.fromkeys(("trial", "seed"), int),
    **dict.fromkeys(("lr", "momentum"), float),
    "decay_steps": int,
    **dict.fromkeys(("end_factor", "goal_error"), float),
    **dict.fromkeys(("interval_steps", "max_steps"), int),
    "status": str,
    **dict.fromkeys(("steps_to_result", "steps_run"), int),
    **dict.fromkeys(("validation_error", "test_error", "train_seconds", "evaluate_seconds"), float),
}
COLUMNS = tuple(TYPES)
OPTIONS = {
    "lr": "optimizer.lr",
    "momentum": "optimizer.momentum",
    "decay_steps": "lr_schedule.decay_steps",
    "end_factor": "lr_schedule.end_factor",
}
REMEDY = "restore the file, or remove it to run its trials again"
Row = dict[str, Any]


def read(folder: Path) -> pd.DataFrame:
    """The trials of a study sorted by trial, without rows where none is recorded; ValueError on a damaged file."""
    import pandas as pd

    rows = _read_rows(folder / FILE)
    dtypes = {str: "str", int: "Int64", float: "float64"}
    columns = {name: pd.Series([row[name] for row in rows], dtype=dtypes[kind]) for name, kind in TYPES.items()}
    return pd.DataFrame(columns, columns=list(COLUMNS))


def merge(folder: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Adds the rows to the study's record, in place of those of the same trial; None, NaN and absent mean empty."""
    new = [_checked(row) for row in rows]
    path = folder / FILE
    with lock(folder):
        by_trial = {row["trial"]: row for row in _read_rows(path)}
        by_trial.update((row["trial"], row) for row in new)
        write_csv(path, COLUMNS, ([_text(by_trial[trial][name]) for name in COLUMNS] for trial in sorted(by_trial)))


class SharedBound:
    """The least steps-to-result that any job of a study has recorded so far, in steps; None before the first."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE
        self._version: tuple[int, int, int] | None = None
        self._steps: int | None = None

    def __call__(self) -> int | None:
        """Reads the record again only where it has changed; ValueError on a damaged file."""
        try:
            stat = self._path.stat()
        except FileNotFoundError:
            return None
        version = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
        if version != self._version:
            steps = [row["steps_to_result"] for row in _read_rows(self._path)]
            self._steps = min((step for step in steps if step is not None), default=None)
            self._version = version
        return self._steps


def refuse_conflict(folder: Path, trials: Sequence[Mapping[str, Any]]) -> None:
    """ValueError where a trial about to run (trial, lr, momentum, ...) is recorded with other metaparameters."""
    recorded = {row["trial"]: row for row in _read_rows(folder / FILE)}
    for asked in trials:
        row = recorded.get(asked["trial"])
        if row is None:
            continue
        wanted = {name: _converted(name, asked.get(name)) for name in OPTIONS}
        different = [
            f"{option}={_shown(row[name])}, not {_shown(wanted[name])}"
            for name, option in OPTIONS.items()
            if row[name] != wanted[name]
        ]
        if different:
            raise ValueError(
                f"{folder / FILE} holds trial {row['trial']} with {' and '.join(different)}; ask for another trial "
                "number or another folder with hydra.run.dir=FOLDER"
            )


def best(frame: pd.DataFrame) -> pd.Series[Any] | None:
    """The trial whose steps_to_result is K*, the lowest trial number among equals; None where none is complete."""
    complete = frame[frame["status"] == "complete"]
    return None if complete.empty else complete.sort_values(["steps_to_result", "trial"]).iloc[0]


def _read_rows(path: Path) -> list[Row]:
    rows: dict[int, Row] = {}
    for line, values in read_csv(path, COLUMNS, REMEDY):
        row = _parsed(path, line, values)
        if row["trial"] in rows:
            raise damaged(path, f"line {line} repeats trial {row['trial']}", REMEDY)
        rows[row["trial"]] = row
    return [rows[trial] for trial in sorted(rows)]


def _parsed(path: Path, line: int, values: list[str]) -> Row:
    row: Row = {}
    for name, text in zip(COLUMNS, values, strict=True):
        kind = TYPES[name]
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


def _checked(row: Mapping[str, Any]) -> Row:
    assert set(row) <= set(COLUMNS), f"unknown columns {set(row) - set(COLUMNS)}"
    checked = {name: _converted(name, row.get(name)) for name in COLUMNS}
    assert checked["status"] in STATUSES, checked["status"]
    assert checked["trial"] is not None
    assert (checked["steps_to_result"] is not None) == (checked["status"] == "complete"), checked
    return checked


def _converted(name: str, value: Any) -> str | float | None:
    kind = TYPES[name]
    if kind is str:
        return "" if value is None else str(value)
    if value is None or math.isnan(value):
        return None
    return operator.index(value) if kind is int else float(value)


def _text(value: str | float | None) -> str:
    return "" if value is None else str(value)


def _shown(value: str | float | None) -> str:
    return "null" if value is None else str(value)
