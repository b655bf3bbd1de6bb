"""The source code that a function or a class is made of, for names of kept results that must change with it."""

import inspect
import sys
from types import ModuleType
from typing import Any


def source(*objects: Any) -> str:
    """The text of the modules that define these functions and classes, and of those of the same packages they draw on.

    Code of other packages, torch's among them, does not count.
    """
    waiting = [one.__module__ for one in objects]
    packages = {name.partition(".")[0] for name in waiting} - {"torch"}
    found: dict[str, str] = {}
    while waiting:
        name = waiting.pop()
        if name in found or name.partition(".")[0] not in packages:
            continue
        module = sys.modules[name]
        try:
            found[name] = inspect.getsource(module)
        except (OSError, TypeError):  # typed at a prompt or in a notebook
            found[name] = ""
        waiting += _drawn_on(module)
    return "\n".join(f"# {name}\n{found[name]}" for name in sorted(found))


def _drawn_on(module: ModuleType) -> list[str]:
    values = list(vars(module).values())
    named = [
        value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None) for value in values
    ]
    return [name for name in named if isinstance(name, str) and name in sys.modules]
