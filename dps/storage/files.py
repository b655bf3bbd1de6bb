"""The files of a study's folder: changed by one process at a time, written whole or not at all, read strictly."""

import csv
import io
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from filelock import FileLock


def lock(folder: Path) -> FileLock:
    """The lock that every process holds while it changes a study's record."""
    return FileLock(folder / ".trials.lock")


def write_atomically(path: Path, content: str | bytes) -> None:
    """Replaces the file by the text (UTF-8) or bytes or, if that fails, leaves it as it was.

    Of a file in a study's folder, the caller holds the study's lock.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
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


def read_csv(path: Path, columns: Sequence[str], remedy: str) -> list[tuple[int, list[str]]]:
    """The number of each row's last line and its values, one for each column; nothing where there is no file.

    ValueError, with what is wrong and the remedy, where the file is cut short, not UTF-8 or not CSV of these columns.
    """
    rows = []
    try:
        text = path.read_bytes().decode("utf-8")
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        _check_header(path, next(reader, []), columns, remedy)
        for values in reader:
            if len(values) != len(columns):
                what = f"line {reader.line_num} has {len(values)} values, not {len(columns)}"
                raise damaged(path, what, remedy)
            rows.append((reader.line_num, values))
    except FileNotFoundError:
        return []
    except UnicodeDecodeError as error:
        raise damaged(path, f"byte {error.start} is not UTF-8 text", remedy) from error
    except csv.Error as error:
        raise damaged(path, f"line {reader.line_num}: {error}", remedy) from error
    if not text.endswith("\n"):
        raise damaged(path, f"line {reader.line_num} is cut short", remedy)
    return rows


def damaged(path: Path, what: str, remedy: str) -> ValueError:
    """What to raise for a file that does not hold what it should."""
    return ValueError(f"{path} is damaged: {what}; {remedy}")


def _check_header(path: Path, header: Sequence[str], columns: Sequence[str], remedy: str) -> None:
    if missing := [name for name in columns if name not in header]:
        raise damaged(path, f"line 1 lacks the column {', '.join(missing)}", remedy)
    if unknown := [name for name in header if name not in columns]:
        raise damaged(path, f"line 1 has the unknown column {', '.join(unknown)}", remedy)
    if list(header) != list(columns):
        raise damaged(path, f"line 1 does not name the columns in the order {', '.join(columns)}", remedy)
