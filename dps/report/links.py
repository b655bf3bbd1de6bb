"""The files that a report leads to, by addresses relative to its folder."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

from dps.storage import records
from dps.storage.confirmations import FOLDER as CONFIRMED

KINDS = (".csv", ".log")
FOREIGN = (CONFIRMED, "report", "wandb")  # the runs of a confirmation, another report, what W&B keeps for itself


@dataclass(frozen=True)
class Link:
    """What a link says, and the relative address that it leads to."""

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


def recorded(folders: Iterable[Path]) -> str:
    """The day (UTC) on which the last trial of the studies was recorded; "" where no record is there."""
    paths = [folder / records.FILE for folder in folders]
    times = [path.stat().st_mtime for path in paths if path.exists()]
    return f"{datetime.fromtimestamp(max(times), UTC):%Y-%m-%d}" if times else ""


def _is_own(name: str) -> bool:
    return name not in FOREIGN and not name.startswith(("replicate=", "."))


def _link(path: Path, text: str, report: Path) -> Link:
    return Link(text, quote(Path(os.path.relpath(path, report)).as_posix(), safe="/=,"))
