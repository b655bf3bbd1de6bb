"""The Weights & Biases runs of studies and of their sweeps."""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from dps.storage import run_ids

COLUMNS = ("folder", "trial", *run_ids.LoggedRun._fields)


def logged(folders: Iterable[Path]) -> pd.DataFrame:
    """A row for each run of the studies or sweeps in the folders, all as text; ValueError where a file is damaged.

    The trial is empty for a sweep's own run, the url for one that was offline.
    """
    rows = [(str(folder), trial, *run) for folder in folders for trial, run in run_ids.read(folder).items()]
    return pd.DataFrame(rows, columns=list(COLUMNS))
