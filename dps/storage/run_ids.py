"""wandb.csv: which run of Weights & Biases each trial of a study has, so that a resumed study goes on in the same."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from dps.storage.files import lock, read_csv, write_csv


class LoggedRun(NamedTuple):
    """A run's id within its project, and its address; empty where it was logged offline."""

    run_id: str
    url: str


FILE = "wandb.csv"
COLUMNS = ("trial", *LoggedRun._fields)
REMEDY = "restore the file, or remove it and with it what is known of its runs"


def read(folder: Path) -> dict[str, LoggedRun]:
    """The runs by the number of their trial, as text, which is empty for a sweep's; none without the file.

    ValueError where the file is damaged.
    """
    found = read_csv(folder / FILE, lambda _: COLUMNS, REMEDY)
    return {trial: LoggedRun(*run) for _, (trial, *run) in found[1]} if found else {}


def note(folder: Path, runs: Mapping[str, LoggedRun]) -> None:
    """Add runs to those of the folder, in place of those of the same trials."""
    with lock(folder):
        every = {**read(folder), **runs}
        rows = ([trial, *every[trial]] for trial in sorted(every, key=lambda text: (len(text), text)))
        write_csv(folder / FILE, COLUMNS, rows)
