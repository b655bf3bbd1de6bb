"""Files that are written whole or not at all, and read strictly."""

import csv
import io
import os
import secrets
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError


def lock(folder: Path) -> FileLock:
    """The lock that every process holds while it changes a study's record."""
    return FileLock(folder / ".trials.lock")


def write_atomically(path: Path, *contents: str | bytes | memoryview) -> None:
    """Replaces the file by the contents, text as UTF-8, one after another or, if that fails, leaves it as it was.

    Several processes may write the same file at once: the last one wins. Of a file that is changed rather than
    replaced, such as a study's record, the caller holds the lock.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        with temporary.open("xb") as file:
            for content in contents:
                file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Replaces the file by these rows under the columns, as `write_atomically` does."""
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    write_atomically(path, lines.getvalue())


def read_csv(
    path: Path, columns: Callable[[Sequence[str]], Sequence[str]], remedy: str
) -> tuple[list[str], list[tuple[int, list[str]]]] | None:
    """The header, and of each row the number of its last line and its values; None where there is no file.

    `columns` says for the header that is there what it should be.

    ValueError, with what is wrong and the remedy, where the file is cut short, not UTF-8 or not CSV of these columns.
    """
    rows = []
    try:
        text = path.read_bytes().decode("utf-8")
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        header = next(reader, [])
        _check_header(path, header, columns(header), remedy)
        for values in reader:
            if len(values) != len(header):
                what = f"line {reader.line_num} has {len(values)} values, not {len(header)}"
                raise damaged(path, what, remedy)
            rows.append((reader.line_num, values))
    except FileNotFoundError:
        return None
    except UnicodeDecodeError as error:
        raise damaged(path, f"byte {error.start} is not UTF-8 text", remedy) from error
    except csv.Error as error:
        raise damaged(path, f"line {reader.line_num}: {error}", remedy) from error
    if not text.endswith("\n"):
        raise damaged(path, f"line {reader.line_num} is cut short", remedy)
    return header, rows


def _check_header(path: Path, header: Sequence[str], columns: Sequence[str], remedy: str) -> None:
    if missing := [name for name in columns if name not in header]:
        raise damaged(path, f"line 1 lacks the column {', '.join(missing)}", remedy)
    if unknown := [name for name in header if name not in columns]:
        raise damaged(path, f"line 1 has the unknown column {', '.join(unknown)}", remedy)
    if list(header) != list(columns):
        raise damaged(path, f"line 1 does not name the columns in the order {', '.join(columns)}", remedy)


def read_yaml(path: Path, kind: type, remedy: str) -> Any:
    """The plain container, of type `kind`, that a YAML file holds; None where there is no file.

    ValueError, with what is wrong and the remedy, where it holds something else or cannot be read.
    """
    if not path.exists():
        return None
    problem = f"it does not hold a {kind.__name__}"
    try:
        loaded = OmegaConf.to_container(OmegaConf.load(path), resolve=True)
        if isinstance(loaded, kind) and (loaded or kind is list):  # an empty file is read as {}
            return loaded
    except (YAMLError, OmegaConfBaseException, UnicodeDecodeError, OSError) as error:
        problem = " ".join(str(error).split())
    raise damaged(path, problem, remedy)


def damaged(path: Path, what: str, remedy: str) -> ValueError:
    """What to raise for a file that does not hold what it should."""
    return ValueError(f"{path} is damaged: {what}; {remedy}")
