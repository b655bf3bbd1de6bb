"""What a report leads to: files, by addresses relative to its folder, and runs on the web."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

import pandas as pd

from dps.storage import records
from dps.storage.confirmations import FOLDER as CONFIRMED

KINDS = (".csv", ".log")
FOREIGN = (CONFIRMED, "report", "wandb")  # the runs of a confirmation, another report, what W&B keeps for itself


@dataclass(frozen=True)
class Link:
    """What a link says, and the address that it leads to."""

    text: str
    address: str


def of_study(folder: Path, report: Path) -> list[Link]:
    """The CSV files and logs of a study, without those of other replicates, of FOREIGN folders and of the report."""
    found = []
    for path, below, files in os.walk(folder):
        below[:] = sorted(name for name in below if _is_own(name) and Path(path, name).resolve() != report.resolve())
        found += [Path(path, name) for name in sorted(files) if Path(name).suffix in KINDS]
    return [_link(path, str(path.relative_to(folder)), report) for path in found]


def of_sweeps(folders: Iterable[Path], report: Path) -> list[Link]:
    """The logs that lie beside the folders of studies, in none of them."""
    studies = set(folders)
    parents = {folder.parent for folder in studies} - studies
    logs = sorted(path for parent in parents for path in parent.glob("*.log"))
    return [_link(path, os.path.relpath(path, report), report) for path in logs]


def of_sweeps_runs(runs: pd.DataFrame) -> list[Link]:
    """The runs in Weights & Biases that are of a whole sweep, of the rows that analysis.runs.logged gives."""
    sweeps = runs[runs["trial"] == ""]
    found = [Link(f"W&B run {run.run_id}", on_the_web(run.url)) for run in sweeps.itertuples()]
    return [link for link in found if link.address]


def on_the_web(url: str) -> str:
    """The URL where it is one of the web; else "", since it could be a script."""
    return url if url.startswith(("https://", "http://")) else ""


def recorded(folders: Iterable[Path]) -> str:
    """The day (UTC) on which a record of the studies was last written, or copied; "" where none is there."""
    paths = [folder / records.FILE for folder in folders]
    times = [path.stat().st_mtime for path in paths if path.exists()]
    return f"{datetime.fromtimestamp(max(times), UTC):%Y-%m-%d}" if times else ""


def _is_own(name: str) -> bool:
    return name not in FOREIGN and not name.startswith(("replicate=", "."))


def _link(path: Path, text: str, report: Path) -> Link:
    return Link(text, quote(Path(os.path.relpath(path, report)).as_posix(), safe="/=,"))
