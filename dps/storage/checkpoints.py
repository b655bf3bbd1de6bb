"""The checkpoint of a running job as a file: written whole, sealed, and kept until the next one is."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from dps.storage import files, sealed

OF_JOBS = "trials=*.ckpt"  # as a pattern, in a study's folder


def before(path: Path) -> Path:
    """Where the checkpoint lies that the one at `path` has taken the place of."""
    return path.with_suffix(".before.ckpt")


def exists(path: Path) -> bool:
    """Whether there is a checkpoint, or the one before."""
    return path.exists() or before(path).exists()


def write(path: Path, payload: memoryview) -> None:
    """Replaces the checkpoint, which becomes the one before: a kill at any moment leaves one of them whole."""
    sealed.write(path, payload, keep=before(path))


@contextmanager
def newest_whole(path: Path) -> Iterator[tuple[Path, BinaryIO]]:
    """The checkpoint, or the one before where it is damaged or lost: its path, and its file at the payload's start.

    ValueError where neither is whole.
    """
    for one in (path, before(path)):
        if one.exists():
            with sealed.opened(one) as file:
                if file is not None:
                    yield one, file
                    return
    raise damaged(path)


def damaged(path: Path) -> ValueError:
    """What to raise where there is no checkpoint to go on from."""
    return ValueError(
        f"{path} is damaged, or of an earlier version of dps: remove it, and the same command starts its trials again"
    )


def remove(path: Path) -> None:
    """Removes the checkpoint, the one before, and what a killed process left of a new one."""
    for one in (path, before(path), files.temporary(path)):
        one.unlink(missing_ok=True)
