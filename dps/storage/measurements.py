"""What is measured during training: CSV files beside trials.csv, one row for each trial and step.

Safe to write from several processes at once.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dps.storage.files import damaged, lock, read_csv, write_csv
from dps.storage.trial_rows import COUNTED

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Measurement:
    """A kind of measurement: the name of its file, without .csv, and its values, the columns after trial and step."""

    name: str
    values: tuple[str, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """The file's columns, in order."""
        return ("trial", "step", *self.values)

    def path(self, folder: Path) -> Path:
        """The file in a study's folder."""
        return folder / f"{self.name}.csv"


REMEDY = "restore the file, or remove it and with it these measurements"
SMOOTHNESS = Measurement("smoothness", ("smoothness", "smoothness_all_weights"))
NOISE = Measurement(
    "noise", ("gradient_variance", "gradient_squared_norm", "noise_scale", "gradient_variance_all_weights")
)
CURVES = Measurement("curves", ("train_loss", "train_error", "validation_loss", "validation_error"))
KINDS = (SMOOTHNESS, NOISE, CURVES)


def read(folder: Path, kind: Measurement) -> pd.DataFrame:
    """The measurements of a study sorted by trial and step, without rows where there are none; NaN where undefined.

    ValueError on a damaged file.
    """
    import pandas as pd

    rows = _read_rows(kind.path(folder), kind)
    frame = pd.DataFrame([(*key, *rows[key]) for key in sorted(rows)], columns=list(kind.columns))
    return frame.astype({"trial": "int64", "step": "int64"} | dict.fromkeys(kind.values, "float64"))


def merge(folder: Path, kind: Measurement, rows: Sequence[Mapping[str, float]]) -> None:
    """Adds rows to the study's file, in place of those of the same trial and step; what is NaN becomes empty.

    ValueError on a damaged file, which stays as it is.
    """
    path = kind.path(folder)
    with lock(folder):
        merged = _read_rows(path, kind)
        merged |= {(int(row["trial"]), int(row["step"])): [float(row[name]) for name in kind.values] for row in rows}
        texts = ([*key, *("" if math.isnan(value) else repr(value) for value in merged[key])] for key in sorted(merged))
        write_csv(path, kind.columns, texts)


def _read_rows(path: Path, kind: Measurement) -> dict[tuple[int, int], list[float]]:
    rows: dict[tuple[int, int], list[float]] = {}
    if (found := read_csv(path, lambda _: kind.columns, REMEDY)) is None:
        return rows
    for line, texts in found[1]:
        trial, step, *values = _parsed(path, kind, line, texts)
        if (key := (int(trial), int(step))) in rows:
            raise damaged(path, f"line {line} repeats trial {trial} at step {step}", REMEDY)
        rows[key] = values
    return rows


def _parsed(path: Path, kind: Measurement, line: int, texts: list[str]) -> list[float]:
    found: list[float] = []
    for name, text in zip(kind.columns, texts, strict=True):
        is_key = name not in kind.values
        try:
            found.append(int(text) if is_key else float(text or "nan"))
        except ValueError:
            number = "an integer" if is_key else "a number"
            raise damaged(path, f"line {line}, column {name}: {text!r} is not {number}", REMEDY) from None
        if is_key and (wrong := COUNTED.wrong(found[-1])):
            raise damaged(path, f"line {line}, column {name}: {wrong}", REMEDY)
    return found
