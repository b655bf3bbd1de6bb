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


@dataclass(frozen=True)
class Link:
    """What a link says, and the relative address that it leads to."""

    text: str
    address: str


def of_study(folder: Path, report: Path) -> list[Link]:
    """The CSV files and logs of a study, those of its other replicates and of its confirmation's runs left out."""
    found = []
    for path, below, files in os.walk(folder):
        below[:] = sorted(name for name in below if _is_own(name))
        found += [Path(path, name) for name in sorted(files) if Path(name).suffix in KINDS]
    return [_link(path, str(path.relative_to(folder)), report) for path in found]


def of_sweeps(folders: Iterable[Path], report: Path) -> list[Link]:
    """The logs that lie beside the folders of studies."""
    logs = sorted({path for parent in {folder.parent for folder in folders} for path in parent.glob("*.log")})
    return [_link(path, str(path), report) for path in logs]


def recorded(folders: Iterable[Path]) -> str:
    """The day (UTC) on which the last trial of the studies was recorded; "" where no record is there."""
    paths = [folder / records.FILE for folder in folders]
    times = [path.stat().st_mtime for path in paths if path.exists()]
    return f"{datetime.fromtimestamp(max(times), UTC):%Y-%m-%d}" if times else ""


def _is_own(name: str) -> bool:
    return name != CONFIRMED and not name.startswith(("replicate=", ".", "report"))


def _link(path: Path, text: str, report: Path) -> Link:
    return Link(text, quote(Path(os.path.relpath(path, report)).as_posix(), safe="/=,"))
