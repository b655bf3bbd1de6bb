"""The report's folder: refused where it is not ours, filled so that no file is ever half written, or lost."""

from collections.abc import Mapping
from pathlib import Path

from dps.report import manifest
from dps.report.page import GENERATOR
from dps.storage.files import write_atomically

PAGE = "index.html"
MAKER = "dps-report"  # in every PNG and PDF, so that a figure says whose it is


def check(folder: Path) -> None:
    """ValueError where the folder is a file, or holds anything but an earlier report."""
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file: name a folder for the report with --output FOLDER")
    if folder.is_dir() and not _is_report(folder) and any(path.name != manifest.BEGUN for path in folder.iterdir()):
        raise ValueError(
            f"{folder} holds files but no {PAGE} made by dps-report: name an empty or a new folder with --output FOLDER"
        )


def write(folder: Path, files: Mapping[str, bytes]) -> None:
    """Writes the files by name, the page first, and removes those of an earlier report that are not among them.

    What is listed as ours before it is written, and until it is removed, can be told from a user's own files after a
    kill at any moment. ValueError where the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        digests = {name: {manifest.digest(content)} for name, content in files.items()}
        earlier = manifest.read(folder)
        either = {name: digests.get(name, set()) | earlier.get(name, set()) for name in {*earlier, *digests}}
        manifest.write(folder, either)
        for name in sorted(files, key=lambda name: name != PAGE):
            write_atomically(folder / name, files[name])
        for name in earlier.keys() - files.keys():
            manifest.remove(folder / name, earlier[name])
        manifest.write(folder, digests)
    except OSError as error:
        where = error.filename or folder
        raise ValueError(
            f"{where} cannot be written ({error.strerror or error}): name another folder with --output FOLDER"
        ) from error


def _is_report(folder: Path) -> bool:
    page = folder / PAGE
    if not page.exists():  # a first report that was killed
        return bool(manifest.read(folder))
    return page.is_file() and GENERATOR.encode() in page.read_bytes()
