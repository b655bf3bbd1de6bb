"""A disk cache of numpy arrays that are slow to make: decoded images, pruning scores.

An entry is sealed, and its payload an npz file without pickles, so an entry that was cut short or written by something
else is recognised and made again, never trusted.
"""

import hashlib
import io
import os
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dps.storage import sealed


def folder() -> Path:
    """Return the folder of the cache: $DPS_CACHE, else $XDG_CACHE_HOME/dps, else ~/.cache/dps."""
    if chosen := os.environ.get("DPS_CACHE"):
        return Path(chosen).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "dps"


def digest(*parts: bytes | str | np.ndarray[Any, Any]) -> str:
    """Return the hexadecimal key of a sequence of parts; arrays count with their dtype and shape."""
    key = hashlib.sha256()
    for part in parts:
        if isinstance(part, str):
            kind, content = "str", part.encode()
        elif isinstance(part, bytes):
            kind, content = "bytes", part
        else:
            kind, content = f"{part.dtype.str}{part.shape}", part.tobytes()
        key.update(f"{kind}:{len(content)}:".encode())
        key.update(content)
    return key.hexdigest()


def load(path: Path) -> dict[str, np.ndarray[Any, Any]] | None:
    """Return the arrays saved at `path`, or None where there is no entry or a damaged or foreign one."""
    try:
        with sealed.opened(path) as file:
            if file is None:
                return None
            with np.load(file, allow_pickle=False) as arrays:
                return dict(arrays)
    except (OSError, EOFError, TypeError, ValueError, zipfile.BadZipFile):
        return None


def save(path: Path, arrays: Mapping[str, np.ndarray[Any, Any]]) -> None:
    """Write an entry atomically; where the folder cannot be written, warn and leave the cache as it was."""
    assert not any(array.dtype.hasobject for array in arrays.values()), "only what loads without pickles"
    file, named = io.BytesIO(), dict[str, Any](arrays)
    np.savez(file, **named)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        sealed.write(path, file.getbuffer())
    except OSError as error:
        warnings.warn(
            f"nothing was cached in {path.parent} ({error.strerror}), so the next start repeats the work: "
            "set DPS_CACHE to a folder that can be written",
            stacklevel=2,
        )
