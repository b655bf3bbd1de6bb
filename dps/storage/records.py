"""The durable record of a study: trials.csv, one row a trial, safe to write from several processes at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from dps.protocol.metaparameters import Metaparameter
from dps.protocol.values import shown
from dps.storage import configurations
from dps.storage.files import damaged, lock, read_csv, write_csv
from dps.storage.trial_rows import COLUMNS, DTYPES, Row, converted, expected, of_type, parsed, types, with_declared

if TYPE_CHECKING:
    import pandas as pd

FILE = "trials.csv"
REMEDY = "restore the file, or remove it to run its trials again"
SECONDS = ["train_seconds", "evaluate_seconds"]  # the columns that no two runs share


def read(folder: Path) -> pd.DataFrame:
    """The trials of a study sorted by trial, without rows where none is recorded.

    ValueError on a damaged file, and on a row of another study than that of the folder's configuration, if there is
    one. A record of before replicates is that of replicate 0.

    The columns are COLUMNS, with declared metaparameters after those of the protocol.
    """
    import pandas as pd

    columns, rows = _read_rows(folder / FILE, configurations.about(configurations.read(folder) or {}))
    kinds = types(columns, rows)
    return pd.DataFrame({name: pd.Series([row[name] for row in rows], dtype=DTYPES[kinds[name]]) for name in columns})


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
        columns = with_declared([*there, *declared])
        by_trial: dict[int, Row] = {row["trial"]: row for row in old}
        by_trial.update((row["trial"], row) for row in (converted(row, columns) for row in rows))
        ordered = (by_trial[trial] for trial in sorted(by_trial))
        write_csv(path, columns, ([_text(row.get(name)) for name in columns] for row in ordered))


def version(folder: Path) -> tuple[int, int, int] | None:
    """What tells a study's record from what it was before; None where there is none."""
    try:
        stat = (folder / FILE).stat()
    except FileNotFoundError:
        return None
    return stat.st_ino, stat.st_mtime_ns, stat.st_size


class Finishers:
    """The trials of a study that any of its jobs has recorded as complete."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._version: tuple[int, int, int] | None = None
        self._steps: dict[int, int] = {}

    def __call__(self, step: int) -> set[int]:
        """Those that reached the goal by this step; reads the record again only where it has changed.

        ValueError on a damaged file.
        """
        if (now := version(self._folder)) is None:
            return set()
        if now != self._version:
            rows = _read_rows(self._folder / FILE)[1]
            self._steps = {row["trial"]: row["steps_to_result"] for row in rows if row["status"] == "complete"}
            self._version = now
        return {trial for trial, steps in self._steps.items() if steps <= step}


def refuse_conflict(
    folder: Path, trials: Sequence[Mapping[str, Any]], searched: Sequence[Metaparameter], elsewhere: str
) -> None:
    """ValueError where a trial about to run (trial, lr, momentum, ...) is recorded with other metaparameters.

    It ends with what to do, `elsewhere`.
    """
    recorded = {row["trial"]: row for row in _read_rows(folder / FILE)[1]}
    for asked in trials:
        row = recorded.get(asked["trial"])
        if row is None:
            continue
        pairs = {one.option: (row.get(one.name), of_type(one.type, asked.get(one.name))) for one in searched}
        pairs["seed"] = row["seed"], asked["seed"]
        different = [f"{option}={shown(old)}, not {shown(new)}" for option, (old, new) in pairs.items() if old != new]
        if different:
            what = f"{folder / FILE} holds trial {row['trial']} with {' and '.join(different)}"
            raise ValueError(f"{what}; {elsewhere}")


def seconds(frame: pd.DataFrame) -> float:
    """What training and evaluating took of all the trials together."""
    return float(frame[SECONDS].sum().sum())


def best(frame: pd.DataFrame) -> pd.Series[Any] | None:
    """The trial whose steps_to_result is K*, the lowest trial number among equals; None where none is complete."""
    complete = frame[frame["status"] == "complete"]
    return None if complete.empty else complete.sort_values(["steps_to_result", "trial"]).iloc[0]


def k_star(frame: pd.DataFrame) -> int | None:
    """K* of the trials of one study, in steps; None where none is complete."""
    found = best(frame)
    return None if found is None else int(found["steps_to_result"])


def _read_rows(path: Path, shared: Mapping[str, Any] = MappingProxyType({})) -> tuple[tuple[str, ...], list[Row]]:
    """The columns, and the rows in the order of their trials, each with the values that are `shared` by all."""
    if (found := read_csv(path, expected, REMEDY)) is None:
        return COLUMNS, []
    header, lines = found
    rows: dict[int, Row] = {}
    for line, values in lines:
        try:
            row = parsed(dict(zip(header, values, strict=True)))
        except ValueError as error:
            raise damaged(path, f"line {line}, column {error}", REMEDY) from None
        for name, value in shared.items():
            if row[name] != value:
                theirs = f"{shown(row[name])} is not the study's, {shown(value)}, which {configurations.FILE} has"
                raise damaged(path, f"line {line}, column {name}: {theirs}", REMEDY)
        if row["trial"] in rows:
            raise damaged(path, f"line {line} repeats trial {row['trial']}", REMEDY)
        rows[row["trial"]] = row
    return with_declared(header), [rows[trial] for trial in sorted(rows)]


def _text(value: str | float | None) -> str:
    return "" if value is None else str(value)
