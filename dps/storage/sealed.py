"""Files that begin with the SHA-256 digest of what follows, so that one cut short or changed is never trusted."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from dps.storage.files import write_atomically

_DIGEST_BYTES = hashlib.sha256().digest_size


def write(path: Path, payload: bytes | memoryview, keep: Path | None = None) -> None:
    """Replaces the file by the payload under its digest, as `write_atomically` does."""
    write_atomically(path, hashlib.sha256(payload).digest(), payload, keep=keep)


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO | None]:
    """The file, at the start of its payload; None where the digest is not that of the payload.

    OSError where it cannot be read.
    """
    with path.open("rb") as file:
        is_whole = file.read(_DIGEST_BYTES) == hashlib.file_digest(file, "sha256").digest()
        file.seek(_DIGEST_BYTES)
        yield file if is_whole else None
