"""The environments that have trained trials of a study: .hydra/environment.yaml, a list of mappings, each once."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from dps.storage.files import damaged, lock, read_yaml, write_atomically

FILE = Path(".hydra", "environment.yaml")
REMEDY = "restore the file, or remove it and with it what is known of earlier runs"
Environment = Mapping[str, Any]  # open, for example of the versions of python and torch


def read(folder: Path) -> list[Environment]:
    """Those of the study in a folder, the latest last; none without a record. ValueError where the file is damaged."""
    found: list[Environment] = read_yaml(folder / FILE, list, REMEDY) or []
    if not all(isinstance(one, Mapping) and not any(isinstance(v, list | dict) for v in one.values()) for one in found):
        raise damaged(folder / FILE, "it does not hold a list of mappings from names to values", REMEDY)
    return found


def note(folder: Path, environment: Environment) -> None:
    """Have an environment as the last of those of the study, each of which is there once."""
    with lock(folder):
        known = read(folder)
        if known[-1:] != [environment]:
            every = [*(one for one in known if one != environment), environment]
            (folder / FILE).parent.mkdir(exist_ok=True)
            write_atomically(folder / FILE, OmegaConf.to_yaml(every))
