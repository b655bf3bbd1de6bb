"""The report's folder: refused where it is not ours, filled so that no file is ever half written."""

from collections.abc import Mapping
from pathlib import Path

from dps.report.page import GENERATOR
from dps.storage.files import write_atomically

PAGE = "index.html"
MAKER = "dps-report"  # in every PNG and PDF, so that a figure says whose it is


def check(folder: Path) -> None:
    """ValueError where the folder is a file, or holds anything but an earlier report."""
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file: name a folder for the report with --output FOLDER")
    if folder.is_dir() and any(folder.iterdir()) and not _is_report(folder):
        raise ValueError(
            f"{folder} holds files but no {PAGE} made by dps-report: name an empty or a new folder with --output FOLDER"
        )


def write(folder: Path, files: Mapping[str, bytes]) -> None:
    """Writes the files by name, the page first, and removes an earlier report's figures that are not among them.

    ValueError where the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in sorted(files, key=lambda name: name != PAGE):
            write_atomically(folder / name, files[name])
        for path in folder.iterdir():
            if path.name not in files and _is_figure(path):
                path.unlink()
    except OSError as error:
        raise ValueError(
            f"{folder} cannot be written ({error.strerror or error}): name another folder with --output FOLDER"
        ) from error


def _is_report(folder: Path) -> bool:
    page = folder / PAGE
    return page.is_file() and GENERATOR.encode() in page.read_bytes()


def _is_figure(path: Path) -> bool:
    return path.suffix in {".pdf", ".png"} and path.is_file() and MAKER.encode() in path.read_bytes()
