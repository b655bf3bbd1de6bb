"""Which configuration the results in a folder belong to, so that they are never mixed with another's."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from dps.storage import files, records

# These change no result, or are recorded trial by trial.
IGNORED = (
    "folder",
    "trial",
    "optimizer.lr",
    "optimizer.momentum",
    "lr_schedule.decay_steps",
    "lr_schedule.end_factor",
    "space",
    "stack",
    "goal.early_reject",
    "goal.examples_per_block",
    "data.root",
    "data.download",
    "data.load",
    "data.train_examples",
    "trainer",
    "logger",
    "callbacks",
)
COMPARED = ("trainer.precision",)
SWEEP = Path(".hydra", "sweep.yaml")


def claim(folder: Path, cfg: DictConfig, overrides: Sequence[str], trials: int | None = None) -> None:
    """Records in the folder's .hydra the resolved configuration that its results belong to.

    `trials` is the number of a sweep's trials, of which this job may have a share; the largest one asked for is kept.
    ValueError where the folder holds results of another configuration or of none, or cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with files.lock(folder):
            _claim(folder, cfg, overrides)
            if trials is not None and trials > sweep_trials(folder):
                files.write_atomically(folder / SWEEP, OmegaConf.to_yaml({"trials": trials}))
    except OSError as error:
        raise ValueError(
            f"the output folder {folder} cannot be written ({error.strerror or error}); name one that can with "
            "hydra.run.dir=FOLDER, or hydra.sweep.dir=FOLDER in a sweep"
        ) from error


def sweep_trials(folder: Path) -> int:
    """How many trials a sweep asked of the study in all its jobs; 0 where none did. ValueError on a damaged file."""
    path = folder / SWEEP
    return int(_load(path).get("trials", 0)) if path.exists() else 0


def checkpoint_path(folder: Path, trials: Sequence[Mapping[str, Any]]) -> Path:
    """Where the job that runs exactly these trials of a study keeps its checkpoint."""
    numbers = sorted(row["trial"] for row in trials)
    first, last = numbers[0], numbers[-1]
    consecutive = numbers == list(range(first, last + 1))
    name = f"{first}-{last}" if consecutive else hashlib.sha256(repr(numbers).encode()).hexdigest()[:16]
    return folder / f"trials={name}.ckpt"


def _claim(folder: Path, cfg: DictConfig, overrides: Sequence[str]) -> None:
    path = folder / ".hydra" / "config.yaml"
    has_results = (folder / records.FILE).exists() or any(folder.glob("*.ckpt"))
    different: list[str] = []
    if path.exists():
        different = _differences(_load(path), OmegaConf.to_container(cfg, resolve=True))
        if not different:
            return
    if has_results:
        what = (
            f"of another configuration ({', '.join(different)})" if different else f"but no {path.relative_to(folder)}"
        )
        raise ValueError(
            f"{folder} holds results {what}; choose another folder with hydra.run.dir=FOLDER, or hydra.sweep.dir=FOLDER"
            " in a sweep, or remove this one"
        )
    path.parent.mkdir(exist_ok=True)
    files.write_atomically(path.with_name("overrides.yaml"), OmegaConf.to_yaml(list(overrides)))
    files.write_atomically(path, OmegaConf.to_yaml(cfg, resolve=True))


def _load(path: Path) -> Any:
    problem = "it does not hold a configuration"
    try:
        saved = OmegaConf.to_container(OmegaConf.load(path), resolve=True)
        if isinstance(saved, dict) and saved:
            return saved
    except (YAMLError, OmegaConfBaseException, UnicodeDecodeError, OSError) as error:
        problem = " ".join(str(error).split())
    raise ValueError(f"{path} is damaged: {problem}; restore the file, or remove the folder to run its study again")


def _differences(saved: Any, asked: Any) -> list[str]:
    there, here = dict(_flat(saved)), dict(_flat(asked))
    absent = object()
    return [
        f"{key} is {_shown(there, key)} there and {_shown(here, key)} here"
        for key in dict.fromkeys([*there, *here])
        if _matters(key) and there.get(key, absent) != here.get(key, absent)
    ]


def _flat(node: Mapping[Any, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in node.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _matters(key: str) -> bool:
    if key in COMPARED:
        return True
    return key.rpartition(".")[2] != "_partial_" and not any(f"{key}.".startswith(f"{name}.") for name in IGNORED)


def _shown(flat: Mapping[str, Any], key: str) -> str:
    if key not in flat:
        return "absent"
    return flat[key] if isinstance(flat[key], str) else json.dumps(flat[key], default=str)
