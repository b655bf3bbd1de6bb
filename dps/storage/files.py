"""Files that are written whole or not at all, and read strictly."""

import csv
import fcntl
import io
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import yaml
from filelock import FileLock, Timeout

YAML_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the first is fast, and not everywhere
# Of YAML files. A configuration of 100 trials has 5 levels and 10,000 bytes.
DEEPEST = 50
MOST_BYTES = 2**22


class _Strict(YAML_LOADER):  # type: ignore[misc]
    """Refuses a key that stands twice in a mapping, of which YAML would take the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in keys:
                raise ValueError(f"line {key.start_mark.line + 1} repeats the key {key.value}")
            keys.add(str(key.value))
        found: dict[Any, Any] = super().construct_mapping(node, deep)
        return found


def lock(folder: Path, name: str = ".trials.lock") -> FileLock:
    """A lock, by default that which every process holds while it changes a study's record.

    The system takes it back from a process that dies; taking it raises OSError where the file system has no such locks.
    """
    return FileLock(folder / name, fallback_to_soft=False)


def is_locked(path: Path) -> bool:
    """Whether a process, this one too, holds the lock whose file this is; one that cannot be opened is held by none."""
    try:
        with FileLock(path, fallback_to_soft=False).acquire(blocking=False):
            return False
    except Timeout:
        return True
    except OSError:
        return False


def temporary(path: Path) -> Path:
    """Where a file is written before it takes its place; what a killed process left there is written over."""
    return path.with_name(f".{path.name}.tmp")


def write_atomically(path: Path, *contents: str | bytes | memoryview, keep: Path | None = None) -> None:
    """Replaces the file by the contents, text as UTF-8, one after another or, if that fails, leaves it as it was.

    What the file was before goes to `keep`, where that is given. Several processes may write the same file at once: the
    last one wins. Of a file that is changed rather than replaced, such as a study's record, the caller holds the lock.
    OSError names the file.
    """
    try:
        with _alone(temporary(path)) as file:
            for content in contents:
                file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
            if keep is not None and path.exists():
                os.replace(path, keep)
            os.replace(file.name, path)
    except OSError as error:  # of a full disk it names no file, and else the temporary one
        raise OSError(error.errno, error.strerror, os.fspath(path)) from error


@contextmanager
def _alone(path: Path) -> Iterator[BinaryIO]:
    """The file, emptied, which no other process writes to meanwhile; what is left of it afterwards is removed."""
    while True:
        with open(path, "ab", opener=_open_no_link) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if not _is_at(file, path):
                continue  # who held it has put it in its place
            file.truncate(0)
            try:
                yield file
            finally:
                if _is_at(file, path):
                    path.unlink()
            return


def _open_no_link(path: str, flags: int) -> int:
    """Of a link, planted or not, the target would be emptied."""
    return os.open(path, flags | os.O_NOFOLLOW, 0o666)


def _is_at(file: BinaryIO, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Replaces the file by these rows under the columns, as `write_atomically` does; a link stays, and its target is
    replaced.
    """
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    write_atomically(path.resolve(), lines.getvalue())


def read_csv(
    path: Path, columns: Callable[[Sequence[str]], Sequence[str]], remedy: str
) -> tuple[list[str], list[tuple[int, list[str]]]] | None:
    """The header, and of each row the number of its last line and its values; None where there is no file.

    `columns` says for the header that is there what it should be.

    ValueError, with what is wrong and the remedy, where the file is cut short, not UTF-8, not CSV of these columns, or
    cannot be read.
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
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise damaged(path, f"it cannot be read ({error.strerror})", remedy) from error
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
        if (size := path.stat().st_size) > MOST_BYTES:
            raise ValueError(f"it has {size} bytes, and more than {MOST_BYTES} are not read")
        text = path.read_bytes().decode("utf-8")
        _refuse_tricks(text, kind)
        loaded = yaml.load(text, Loader=_Strict)
        if isinstance(loaded, kind) and (loaded or kind is list):
            return loaded
    except (yaml.YAMLError, ValueError, OSError) as error:
        problem = " ".join(str(error).split())
    raise damaged(path, problem, remedy)


def _refuse_tricks(text: str, kind: type) -> None:
    """ValueError where a YAML text would grow when it is read, or would have its reader's environment looked up.

    dps writes neither: no aliases, and in mappings values in place of interpolations.
    """
    depth = 0
    for event in yaml.parse(text, Loader=YAML_LOADER):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        where = f"line {event.start_mark.line + 1}"
        if isinstance(event, yaml.AliasEvent):
            raise ValueError(f"{where} repeats the anchor {event.anchor}, and anchors are not read")
        if depth > DEEPEST:
            raise ValueError(f"{where} is more than {DEEPEST} levels deep")
        if kind is dict and isinstance(event, yaml.ScalarEvent) and "${" in event.value:
            raise ValueError(f"{where} holds the interpolation {event.value}, where a value belongs")


def damaged(path: Path, what: str, remedy: str) -> ValueError:
    """What to raise for a file that does not hold what it should."""
    return ValueError(f"{path} is damaged: {what}; {remedy}")
