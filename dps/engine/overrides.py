"""What is typed on the command line, before Hydra composes a configuration from it."""

import re
from collections.abc import Iterable
from dataclasses import fields

from dps.engine.named import GROUPS
from dps.engine.options import Options

NAMES = {field.name for field in fields(Options)}
MULTIRUN = ("-m", "--multirun")  # which Hydra's parser does not take between overrides
CHOSEN = (*GROUPS.values(), "workload", "space", "callbacks", "trainer", "logger")
# By option of Hydra's own: its one value, and why.
HYDRAS = {
    "hydra.output_subdir": ("null", "dps writes .hydra/ itself, once it is sure that the folder is this study's"),
    "hydra.job.name": ("dps", "the log of a study is dps.log"),
    "hydra.job.chdir": ("false", "dps stays in the folder where it is typed, from which data.root is read"),
}
FOLDERS = ("hydra.run.dir", "hydra.sweep.dir")  # which, empty, would be the folder where the command is typed
# What Hydra does not take as it is typed, by how it calls the same.
OTHERWISE = {f"{group}=null": f"~{group}" for group in CHOSEN}
OTHERWISE |= {typed: f"{group}=[]" for group in ("callbacks", "logger") for typed in (f"{group}=null", f"~{group}")}


def understood(arguments: Iterable[str]) -> list[str]:
    """The arguments as Hydra takes them.

    ValueError on what it would not refuse by name: a group without a name, and what changes where a study writes.
    """
    found = [OTHERWISE.get(argument, argument) for argument in arguments]
    for argument in found:
        key, _, value = argument.lstrip("+").partition("=")
        if key.startswith("--") and (name := key[2:]).partition(".")[0] in NAMES:
            raise ValueError(f"{argument} is unknown: options are typed as {name}=VALUE")
        if key in HYDRAS and value.lower() != HYDRAS[key][0]:
            raise ValueError(f"{argument} must be {HYDRAS[key][0]}: {HYDRAS[key][1]}")
        if key in FOLDERS and value in ("", "''", '""'):
            raise ValueError(f"{argument} must be the name of a folder")
        if key in CHOSEN and re.fullmatch(r"[-+\d.e]+|true|false", value, re.IGNORECASE):
            raise ValueError(f"{argument} is unknown: choose a {key} by its name, as `dps --help` lists them")
    return sorted(found, key=lambda argument: argument not in MULTIRUN)


def refuse_renaming(overrides: Iterable[str]) -> None:
    """ValueError where an override changes what one of the names in trials.csv stands for, and not the name."""
    for override in overrides:
        key = override.partition("=")[0].lstrip("+~")
        if key.rpartition(".")[2] == "_target_" or key == "optimizer.nesterov":
            raise ValueError(f"{key} is not an option: choose another file of its group, or write one of your own")
