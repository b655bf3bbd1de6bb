"""Which of a folder's files a report wrote, so that no other one is ever removed: .dps-report.json.

It has by name the SHA-256 digests of what was written: two while a file is replaced.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from dps.storage.files import temporary, write_atomically

FILE = ".dps-report.json"
BEGUN = temporary(Path(FILE)).name  # of a first report that was killed
Digests = Mapping[str, set[str]]


def digest(content: bytes) -> str:
    """That of a file's content."""
    return hashlib.sha256(content).hexdigest()


def read(folder: Path) -> Digests:
    """The digests by name; none where there is no manifest, or one that no report wrote."""
    try:
        found = json.loads((folder / FILE).read_text(encoding="utf-8"))
        return {name: set(digests) for name, digests in found.items() if name == Path(name).name}
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return {}


def write(folder: Path, digests: Digests) -> None:
    """Replaces the manifest."""
    text = json.dumps({name: sorted(digests[name]) for name in sorted(digests)}, indent=1)
    write_atomically(folder / FILE, text + "\n")


def remove(path: Path, digests: set[str]) -> None:
    """Remove a file that is still as it was written; one that was changed since, or linked, has become the user's."""
    if path.is_file() and not path.is_symlink() and digest(path.read_bytes()) in digests:
        path.unlink()
