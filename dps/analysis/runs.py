"""The Weights & Biases runs of studies and of their sweeps, as their folders have them: wandb.csv."""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from dps.storage.files import read_csv

FILE = "wandb.csv"
COLUMNS = ("trial", "run_id", "url")  # the trial is empty for a sweep's own run, the url for one that was offline
REMEDY = "restore the file, or remove it to report without it"


def logged(folders: Iterable[Path]) -> pd.DataFrame:
    """A row for each run of the studies or sweeps in the folders, all as text; ValueError where a file is damaged."""
    rows = [
        (str(folder), *values)
        for folder in folders
        for _, values in (read_csv(folder / FILE, lambda _: COLUMNS, REMEDY) or ([], []))[1]
    ]
    return pd.DataFrame(rows, columns=["folder", *COLUMNS])
