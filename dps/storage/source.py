"""The source code that a function or a class is made of, for names of kept results that must change with it."""

import inspect
import sys
import sysconfig
from pathlib import Path
from types import ModuleType
from typing import Any


def source(*objects: Any) -> str:
    """The text of the modules that define these functions and classes, and of all that these import in turn.

    Python's own library and installed packages do not count, but for the package of `dps` itself.
    """
    waiting = [one.__module__ for one in objects]
    found: dict[str, str] = {}
    while waiting:
        name = waiting.pop()
        if name in found or not _counts(sys.modules[name]):
            continue
        module = sys.modules[name]
        try:
            found[name] = inspect.getsource(module)
        except (OSError, TypeError):  # typed at a prompt or in a notebook
            found[name] = ""
        waiting += _drawn_on(module)
    return "\n".join(f"# {name}\n{found[name]}" for name in sorted(found))


def _counts(module: ModuleType) -> bool:
    if module.__name__.partition(".")[0] == __name__.partition(".")[0]:
        return True
    path = getattr(module, "__file__", None)
    installed = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    return path is not None and not any(Path(path).is_relative_to(folder) for folder in installed)


def _drawn_on(module: ModuleType) -> list[str]:
    values = list(vars(module).values())
    named = [
        value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None) for value in values
    ]
    return [name for name in named if isinstance(name, str) and name in sys.modules]
