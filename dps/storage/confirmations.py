"""The durable record of a confirmation: confirm.csv, one row for each configuration that was trained with fresh seeds.

It lies in the folder of a study, beside the folder that holds the runs themselves, one folder a seed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dps.storage.files import damaged, read_csv, write_csv
from dps.storage.trial_rows import COUNTED, DECLARED, DTYPES, type_of, value

if TYPE_CHECKING:
    import pandas as pd

FILE = "confirm.csv"
FOLDER = "confirm"  # where the runs lie
_BEFORE: dict[str, type[float]] = dict.fromkeys(("rank", "replicate", "trial"), int)
_AFTER: dict[str, type[float]] = {
    **dict.fromkeys(("steps_found", "seeds", "arrived"), int),
    **dict.fromkeys(("success_rate", "success_low", "success_high"), float),
    **dict.fromkeys(("median_steps", "median_low", "median_high", "max_steps"), int),
}
KNOWN = _BEFORE | _AFTER  # between them stand the metaparameters of the study
REMEDY = "restore the file, or remove it: dps-confirm writes it again from the runs"


def run_folder(folder: Path, seed: int) -> Path:
    """Where the runs of a fresh seed lie, in the folder of their study."""
    return folder / FOLDER / f"seed={seed}"


def is_run(path: Path) -> bool:
    """Whether a folder is that of a fresh seed, and so holds no search."""
    return path.parent.name == FOLDER and path.name.startswith("seed=")


def exists(folder: Path) -> bool:
    """Whether a study has been confirmed, or begun to be."""
    return (folder / FILE).exists()


def read(folder: Path) -> pd.DataFrame | None:
    """The configurations of a study as they were confirmed, by rank; None where none were, NA where a cell is empty.

    ValueError on a damaged file.
    """
    import pandas as pd

    path = folder / FILE
    if (found := read_csv(path, _expected, REMEDY)) is None:
        return None
    header, lines = found
    rows = [_parsed(path, line, dict(zip(header, values, strict=True))) for line, values in lines]
    types = {name: KNOWN.get(name) or type_of([row[name] for row in rows]) for name in header}
    return pd.DataFrame({name: pd.Series([row[name] for row in rows], dtype=DTYPES[types[name]]) for name in header})


def write(folder: Path, frame: pd.DataFrame) -> None:
    """Replaces the study's confirm.csv by these rows, with columns as `read` gives them."""
    import pandas as pd

    assert list(frame.columns) == _expected(list(frame.columns))
    rows = zip(*(frame[name].tolist() for name in frame.columns), strict=True)
    write_csv(folder / FILE, list(frame.columns), (["" if pd.isna(v) else str(v) for v in row] for row in rows))


def metaparameters_of(frame: pd.DataFrame) -> list[str]:
    """The columns that hold metaparameters: those between trial and steps_found."""
    columns = list(frame.columns)
    return columns[len(_BEFORE) : columns.index("steps_found")]


def _expected(header: Sequence[str]) -> list[str]:
    between = [name for name in header[len(_BEFORE) : -len(_AFTER)] if name not in KNOWN]
    return [*_BEFORE, *between, *_AFTER]


def _parsed(path: Path, line: int, texts: Mapping[str, str]) -> dict[str, float | None]:
    try:
        row: dict[str, float | None] = {name: value(name, text, KNOWN.get(name)) for name, text in texts.items()}
        for name, one in row.items():
            column = COUNTED if KNOWN.get(name) is int else DECLARED
            if one is not None and (wrong := column.wrong(one)):
                raise ValueError(f"{name}: {wrong}")
    except ValueError as error:
        raise damaged(path, f"line {line}, column {error}", REMEDY) from None
    return row
