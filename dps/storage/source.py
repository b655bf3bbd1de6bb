"""The source code that a function or a class is made of, for names of kept results that must change with it."""

import ast
import inspect
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import suppress
from importlib.machinery import PathFinder
from importlib.util import resolve_name
from pathlib import Path
from types import ModuleType
from typing import Any

OURS = __name__.partition(".")[0]
INSTALLED = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")]


def source(*objects: Any) -> str:
    """The text of the modules that define these functions and classes, and of all that these import in turn.

    Imports within functions count too. Python's own library and installed packages do not, but for the package of
    `dps` itself.
    """
    waiting = [one.__module__ for one in objects]
    found: dict[str, str] = {}
    while waiting:
        name = waiting.pop()
        module = sys.modules.get(name)
        path = getattr(module, "__file__", None) if module else _unloaded(name)
        if name in found or not _counts(name, path):
            continue
        found[name] = _read(module) if module else Path(path or "").read_text()
        waiting += _drawn_on(module) if module else []
        with suppress(SyntaxError, ImportError):  # of what is never run here
            waiting += _imported(name if (path or "").endswith("__init__.py") else name.rpartition(".")[0], found[name])
    return "\n".join(f"# {name}\n{found[name]}" for name in sorted(found))


def _unloaded(name: str) -> str | None:
    """The file of a module that has not been imported, found without running it or its packages."""
    within, origin = None, None
    parts = name.split(".")
    for number in range(1, len(parts) + 1):
        if within is None and number > 1:
            return None
        if (spec := PathFinder.find_spec(".".join(parts[:number]), within)) is None:
            return None
        within, origin = spec.submodule_search_locations, spec.origin
    return origin if (origin or "").endswith(".py") else None


def _counts(name: str, path: str | None) -> bool:
    if path is None or name.partition(".")[0] == OURS:
        return path is not None
    return not any(map(Path(path).is_relative_to, INSTALLED))


def _read(module: ModuleType) -> str:
    try:
        return inspect.getsource(module)
    except (OSError, TypeError):  # typed at a prompt or in a notebook
        return ""


def _drawn_on(module: ModuleType) -> list[str]:
    """The modules that define what a module holds."""
    values = vars(module).values()
    named = [
        value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None) for value in values
    ]
    return [name for name in named if isinstance(name, str) and name in sys.modules]


def _imported(package: str, text: str) -> Iterator[str]:
    """What the import statements of a module in a package name, be it modules or what is in them."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = resolve_name("." * node.level + (node.module or ""), package)
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)
