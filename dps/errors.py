"""What the command line says when something is wrong: one sentence."""

import errno
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from traceback import walk_tb
from typing import Any, NoReturn

from hydra.errors import InstantiationException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf

SHOW_TRACEBACK = os.environ.get("HYDRA_FULL_ERROR", "0") not in ("", "0")

OURS = [Path(__file__).parents[1] / name for name in ("dps", "callbacks", "hydra_plugins")]
LIBRARIES = {sys.prefix, sys.base_prefix}
LONGEST_NAME = 60  # that is shown
UNFIT = {  # what OmegaConf says, and what would be right
    "converted to Integer": "an integer",
    "converted to Float": "a number",
    "not a valid bool": "true or false",
    "is not Optional": "a value, not null",
    "Cannot merge DictConfig": "a mapping",
}
UNWRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EEXIST, errno.ENOTDIR)
ELSEWHERE = ": name another folder with hydra.run.dir=FOLDER, or hydra.sweep.dir=FOLDER in a sweep"  # which dps has
SIMILAR = 0.8  # of two options, by difflib's ratio, so that one may be meant by the other
EXTRAS = {"joblib": "joblib", "ray": "ray", "submitit_local": "submitit", "submitit_slurm": "submitit"}  # of launchers


def run_command(name: str, command: Callable[[], object]) -> None:
    """Run a Hydra application; a failure prints one sentence and exits with 1, or raises with HYDRA_FULL_ERROR=1."""
    os.environ["HYDRA_FULL_ERROR"] = "1"  # so that Hydra raises what it would print itself, in several lines
    try:
        command()
    except Exception as error:
        stop(name, error)


def stop(name: str, error: Exception) -> NoReturn:
    """End the process with the error in one sentence; raised in a job, Hydra adds nothing to it."""
    if SHOW_TRACEBACK:
        raise error
    said = one_line(error)
    sys.exit(f"{name}: {said if name == 'dps' else said.removesuffix(ELSEWHERE)}")


def one_line(error: BaseException) -> str:
    """The error as one sentence that names the option, its value and, where Hydra knows them, what would be right."""
    text = " ".join(str(error).split())
    if isinstance(error, InstantiationException) and error.__cause__ is not None:
        if match := re.search(r"unexpected keyword argument '(\w+)'.* full_key: (\S+)", text):
            return f"{match[2]}.{match[1]} is not an option: `dps --cfg all` lists those there are"
        return one_line(error.__cause__)
    if composing := _composing(error, text):
        return composing
    if isinstance(error, OSError) and error.filename:
        return _of_file(error, os.path.abspath(error.filename))
    return (text or type(error).__name__) + _place(error)


def _of_file(error: OSError, where: str) -> str:
    if os.path.exists(where) and not os.access(where, os.R_OK):
        return f"{where} cannot be read ({error.strerror})"
    if error.errno in UNWRITABLE:
        return f"{where} cannot be written ({error.strerror}){ELSEWHERE}"
    return f"{where}: {error.strerror}"


def _place(error: BaseException) -> str:
    """The line that raised it, or called what did, where that is code of the user's and no code of dps was between."""
    for frame, line in reversed(list(walk_tb(error.__traceback__))):
        file = Path(frame.f_code.co_filename)
        if any(map(file.is_relative_to, OURS)):
            return ""
        if file.is_file() and not any(map(file.is_relative_to, LIBRARIES)):
            return f" ({file.name}, line {line})"
    return ""


def _composing(error: BaseException, text: str) -> str:
    """What is wrong in the overrides, by Hydra's error; nothing where it is not of composing a configuration."""
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        return _not_found(error, text)
    if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG and str(error.filename).endswith(".yaml"):
        file = Path(error.filename)
        return _unknown(file.parent.name, file.stem, sorted(one.stem for one in file.parent.glob("*.yaml")))
    if isinstance(error, OverrideParseException):
        return f"{error.override} cannot be understood: {_unread(str(error.override), text)}"
    return _by_its_words(error, text)


def _by_its_words(error: BaseException, text: str) -> str:
    """What is wrong by an error that has no class of its own."""
    if several := re.match(r"Ambiguous value for argument '(.*?)' 1\.|Sweep parameters '(.*)' requires", text):
        return f"{several[1] or several[2]} stands for several values: only a sweep takes them, which is dps -m"
    if group := re.match(r"Interpolation key 'hydra\.runtime\.choices\.(\S+)' not found", text):  # in a folder's name
        return f"{group[1]} must have one name, as in {group[1]}=NAME: `dps --help` lists them"
    if removed := re.match(r"Interpolation key '(\S+)' not found", text):
        return f"{removed[1]} has no value: every study needs it"
    if merging := re.match(r"Error merging override (.*)", text):
        return f"{merging[1]} {_unfit(str(error.__cause__))}"
    if match := re.match(r"Could not override '(\S+?)'|Key '\S+' is not in struct full_key: (\S+)", text):
        key = match[1] or match[2]
        meant = _but(match[1], error)
        added = "" if meant else _added(key, error)
        return f"{key} is not an option{meant}: `dps --cfg job` lists those there are{added}"
    return ""


def _unread(override: str, text: str) -> str:
    """What Hydra says of an override that it cannot read, or for what its grammar says what would be right."""
    key, _, value = override.partition("=")
    if re.search("[^=]=[^=]", value) and not re.search(r"""['"(\[{]""", value):  # as in the name of a study's folder
        return f"""write "{key}='{value}'", since = has a meaning in a value without quotation marks"""
    if re.search("missing EQUAL|mismatched input|no viable alternative|extraneous input", text):
        return "write KEY=VALUE, several values without spaces between them, and quotation marks around brackets"
    return text.partition(" See http")[0]


def _added(key: str, error: BaseException) -> str:
    """How to set an option that a part's code has, and its YAML file does not name."""
    there = getattr(error.__cause__, "parent_node", None)
    target = there.get("_target_") if isinstance(there, DictConfig) else None
    return f", and +{key}=VALUE adds it where {target} takes it" if target else ""


def _but(key: str | None, error: BaseException) -> str:
    """The option that may be meant: one of the same last name, or else the one that is written most alike."""
    there = getattr(error.__cause__, "parent_node", None)
    if key is None or not isinstance(there, DictConfig):
        return ""
    every = _options(OmegaConf.to_container(there._get_root(), resolve=False))
    options = [one for one in every if not one.startswith("hydra.") or one.startswith("hydra.sweeper.")]
    same = [one for one in options if one.rpartition(".")[2] == key]
    meant = same or get_close_matches(key, [one for one in options if not key.startswith(one)], 1, SIMILAR)
    return f", but {meant[0]} is" if meant else ""


def _options(node: Any, prefix: str = "") -> Iterator[str]:
    for name, value in node.items() if isinstance(node, dict) else ():
        if not str(name).startswith("_"):
            yield f"{prefix}{name}"
        yield from _options(value, f"{prefix}{name}.")


def _not_found(error: MissingConfigException, text: str) -> str:
    group, _, name = str(error.missing_cfg_file).rpartition("/")
    if group == "hydra/launcher" and name in EXTRAS:
        asking = re.match(r"In 'hydra/launcher/(\w+)'", text)
        return f"{group}={asking[1] if asking else name} needs the extra dps[{EXTRAS[name]}], which is not installed"
    return _unknown(group, name, error.options or _choices(group, text))


def _unknown(group: str, name: str, choices: Sequence[str]) -> str:
    shown = name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}..."
    return f"{group}={shown} is unknown: choose one of {', '.join(choices)}"


def _choices(group: str, searched: str) -> list[str]:
    """Those of a group in the places where Hydra says that it searched."""
    places = re.findall(r"path=(pkg|file)://(\S+)", searched)
    folders = [Path(str(files(path))) if kind == "pkg" else Path(path) for kind, path in places]
    return sorted({one.stem for folder in folders for one in (folder / group).glob("*.yaml")})


def _unfit(cause: str) -> str:
    """Why OmegaConf does not take a value, as what would be right."""
    for said, right in UNFIT.items():
        if said in cause:
            return f"must be {right}"
    return f"is not of the right kind: {cause.splitlines()[0]}"
