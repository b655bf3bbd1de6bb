"""What the command line says when something is wrong: one sentence."""

import os
import re
import sys
from collections.abc import Callable
from typing import NoReturn

from hydra.errors import InstantiationException, MissingConfigException, OverrideParseException

SHOW_TRACEBACK = os.environ.get("HYDRA_FULL_ERROR", "0") not in ("", "0")


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
    sys.exit(f"{name}: {one_line(error)}")


def one_line(error: BaseException) -> str:
    """The error as one sentence that names the option, its value and, where Hydra knows them, what would be right."""
    if isinstance(error, MissingConfigException) and error.options:
        group, _, name = str(error.missing_cfg_file).rpartition("/")
        return f"{group}={name} is unknown: choose one of {', '.join(error.options)}"
    if isinstance(error, InstantiationException) and error.__cause__ is not None:
        return one_line(error.__cause__)
    text = " ".join(str(error).split())
    if isinstance(error, OverrideParseException):
        return f"{error.override} cannot be understood: {text.partition(' See http')[0]}"
    if match := re.match(r"Could not override '(\S+?)'|Key '\S+' is not in struct full_key: (\S+)", text):
        return f"{match[1] or match[2]} is not an option: `dps --cfg job` lists those there are"
    if isinstance(error, OSError) and error.filename:
        where = f"{os.path.abspath(error.filename)} cannot be written ({error.strerror})"
        return f"{where}: name another folder with hydra.run.dir=FOLDER, or hydra.sweep.dir=FOLDER in a sweep"
    return text or type(error).__name__
