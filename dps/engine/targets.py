"""Which functions and classes a configuration may name under `_target_`: what its groups are for, and what is allowed.

A configuration may come from somebody else, and whatever it names is called. So each name is held against what its
group may hold before anything is imported for it.
"""

import importlib
import importlib.machinery
import os
import pkgutil
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from dps.protocol.values import require

HOLDS: Mapping[str, Sequence[str]] = {
    "data": ("dps.data",),
    "model": ("dps.models", "torch.nn", "torchvision.models"),
    "optimizer": ("dps.stack",),
    "lr_schedule": ("dps.stack",),
    "pruning": ("callbacks", "dps.pruning"),
    "callbacks": ("callbacks", "pytorch_lightning.callbacks"),
    "bookkeeping": ("callbacks",),
    "logger": ("pytorch_lightning.loggers", "dps.engine.wandb_trials"),
    "trainer": (
        *("pytorch_lightning.Trainer", "pytorch_lightning.trainer.trainer.Trainer", "dps.engine.ranks"),
        *("pytorch_lightning.strategies", "pytorch_lightning.profilers"),
    ),
}
# Environment variables, so that ranks and jobs in other processes have them too.
ALLOWED = "DPS_ALLOW"  # names of packages
IMPORTED = "DPS_CONFIG_DIRS"  # the folders of --config-dir


def allow_own(runtime: Any) -> None:
    """Import from the folder of --config-dir, as Hydra's `runtime` has it; allow what lies there, and beside it."""
    allow_folders(_config_dirs(runtime))


def allow_config_dir(folder: Path | None) -> None:
    """As allow_folders, of the folder typed as --config-dir, if any; ValueError where it is none."""
    if folder is not None:
        require(folder.is_dir(), "--config-dir", folder, "a folder")
        allow_folders([folder])


def allow_folders(folders: Iterable[Path]) -> None:
    """Import from these folders, where nothing else has a name; allow the modules that lie in them, or beside them."""
    places = [place.resolve() for folder in folders for place in (folder, folder.parent)]
    imported = [*_imported(), *map(str, places[::2])]
    if not imported:
        return
    os.environ[IMPORTED] = os.pathsep.join(dict.fromkeys(imported))
    import_own()
    own = {name for place in places for name in _modules(place)} - {"dps", "callbacks"}
    if names := sorted({*_allowed(), *own}):
        os.environ[ALLOWED] = ",".join(names)


def import_own() -> None:
    """Put the folders of --config-dir, which the user has named, at the end of the path of imports."""
    sys.path += [folder for folder in _imported() if folder not in sys.path]


def config_dir_typed(runtime: Any) -> list[str]:
    """--config-dir as it can be typed again, relative to where the command is typed where it lies there."""
    here = Path.cwd()
    folders = [folder.relative_to(here) if folder.is_relative_to(here) else folder for folder in _config_dirs(runtime)]
    return [f"--config-dir={folder}" for folder in folders]


def _config_dirs(runtime: Any) -> list[Path]:
    return [Path(source.path) for source in runtime.config_sources if source.provider == "command-line"]


def refuse_foreign(given: Mapping[str, Any], holds: Mapping[str, Sequence[str]] = HOLDS) -> None:
    """ValueError that names the first `_target_` of a plain configuration which its group may not hold."""
    for group, part in given.items():
        for option, target in named(part, group):
            if not isinstance(target, str) or not is_in(target, (*holds.get(group, ()), *_allowed())):
                raise _foreign(option, target, group, holds)


def load(option: str, target: str, holds: Mapping[str, Sequence[str]] = HOLDS, depth: int = 1) -> Any:
    """What an allowed `_target_` names; ValueError where there is no such thing, or where it is at home elsewhere.

    The group, by its name in `holds`, is the first `depth` parts of the option.
    """
    group = ".".join(option.split(".")[:depth])
    try:
        found = _located(target)
    except Exception as error:  # whatever a module of a user's raises when it is imported
        reason = " ".join(str(error).split())
        raise ValueError(f"{option}={target} cannot be imported: {reason}") from error
    home = f"{getattr(found, '__module__', None)}.{getattr(found, '__qualname__', None)}"
    if not callable(found) or not is_in(home, (*holds.get(group, ()), *_allowed())):
        raise _foreign(option, target, group, holds)
    return found


def _located(target: str) -> Any:
    """What Hydra would find: an attribute comes before a module of the same name. (Its own way logs what fails.)"""
    first, *names = target.split(".")
    found, path = importlib.import_module(first), first
    for name in names:
        path = f"{path}.{name}"
        if not hasattr(found, name):
            importlib.import_module(path)
        found = getattr(found, name)
    return found


def _imported() -> list[str]:
    return [folder for folder in os.environ.get(IMPORTED, "").split(os.pathsep) if folder]


def _allowed() -> list[str]:
    return [name.strip() for name in os.environ.get(ALLOWED, "").split(",") if name.strip()]


def is_in(name: str, homes: Iterable[str]) -> bool:
    """Whether a name is one of these homes, or lies in one."""
    return any(f"{name}.".startswith(f"{home}.") for home in homes)


def named(node: Any, option: str) -> Iterator[tuple[str, Any]]:
    """Every `_target_` at or below a node, with its option, the outer ones first."""
    if isinstance(node, dict):
        if "_target_" in node:
            yield f"{option}._target_", node["_target_"]
        for name, value in node.items():
            yield from named(value, f"{option}.{name}")
    elif isinstance(node, list):
        for number, value in enumerate(node):
            yield from named(value, f"{option}[{number}]")


def _modules(place: Path) -> Iterator[str]:
    """The top-level modules of a folder, as far as Python would import them from there."""
    for module in pkgutil.iter_modules([str(place)]):
        spec = importlib.machinery.PathFinder.find_spec(module.name)
        if spec is not None and spec.origin is not None and Path(spec.origin).resolve().is_relative_to(place):
            yield module.name


def _foreign(option: str, target: Any, group: str, holds: Mapping[str, Sequence[str]]) -> ValueError:
    if group not in holds:
        return ValueError(f"{option}={target} is not allowed: {group} takes plain values alone")
    for file in (Path(folder, f"{target}".partition(".")[0] + ".py") for folder in _imported()):
        if file.exists():
            return ValueError(f"{option}={target} is not allowed: Python has another module {file.stem}: rename {file}")
    return ValueError(
        f"{option}={target} is not allowed: {group} takes what lies in {', '.join(holds[group])}, in the folder of "
        f"--config-dir or beside it, or in a package that the environment variable {ALLOWED} names"
    )
