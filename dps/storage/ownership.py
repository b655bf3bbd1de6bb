"""Which configuration the results in a folder belong to, so that they are never mixed with another's."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock
from omegaconf import DictConfig, OmegaConf

from dps.protocol.metaparameters import TABLE
from dps.protocol.values import is_int
from dps.storage import configurations, files, records

# These change a result by rounding at most, or are recorded trial by trial, as metaparameters are.
IGNORED = (
    *("folder", "trial", "seed", "space", "stack", "trainer", "logger", "callbacks", "bookkeeping", "metaparameters"),
    *("goal.early_reject", "goal.examples_per_block", "pruning.cached"),
    *("data.root", "data.download", "data.train_examples", "data.image_shape"),
)
COMPARED = ("trainer.precision", "callbacks.goal")  # the other callbacks measure, and this one decides
# What records of before version 0.2 call otherwise, and the second keys that they hold for one value.
FORMER_TARGETS = {
    "dps.optim.SGD": "dps.stack.sgd.SGD",
    "dps.optim.constant": "dps.stack.schedules.constant",
    "dps.optim.linear": "dps.stack.schedules.linear",
    **{f"dps.datasets.{name}": f"dps.data.sources.{name}" for name in ("digits", "mnist", "fashion_mnist", "cifar10")},
    "dps.datasets.image_folder": "dps.data.sources.image_folder",
}
FORMER_KEYS = (
    *("data.batch_size", "data.seed", "pruning.sparsity", "pruning.criterion.sparsity"),
    *("callbacks.goal.error", "callbacks.goal.interval_steps", "callbacks.goal.race", "callbacks.goal.folder"),
    *("callbacks.goal.early_reject", "callbacks.goal.examples_per_block"),
)
OPTIONAL = tuple(one.option for one in TABLE if one.optional)  # null where they are absent
HOME = configurations.FILE.parent
SWEEP = HOME / "sweep.yaml"
JOBS = "trials="  # with which the name of every job begins, and so of the lock that it holds while it trains
ELSEWHERE = "choose another folder with hydra.run.dir=FOLDER, or hydra.sweep.dir=FOLDER in a sweep"


def claim(
    folder: Path,
    cfg: DictConfig,
    overrides: Sequence[str],
    metaparameters: Sequence[str] = (),
    trials: int | None = None,
    elsewhere: str = ELSEWHERE,
) -> None:
    """Records in the folder's .hydra the resolved configuration that its results belong to.

    `metaparameters` are the options that are recorded trial by trial, and so may differ. `trials` is the number of a
    sweep's trials, of which this job may have a share; the largest one asked for is kept.
    ValueError, which ends with what to do, `elsewhere`, where the folder holds results of another configuration or of
    none, or cannot be written.
    """
    is_mine = _different(folder, cfg, metaparameters) == []
    if is_mine and (trials is None or trials <= sweep_trials(folder)):  # also where it cannot be written
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with files.lock(folder):
            if not is_of(folder, cfg, metaparameters, elsewhere):
                _claim(folder, cfg, overrides)
            if trials is not None and trials > sweep_trials(folder):
                files.write_atomically(folder / SWEEP, OmegaConf.to_yaml({"trials": trials}))
    except OSError as error:
        what = f"the output folder {folder} cannot be written ({error.strerror or error})"
        raise ValueError(f"{what}; {elsewhere}") from error


def job_lock(folder: Path, job: str) -> FileLock:
    """What a job of the study in a folder holds while it trains: the system takes it back from a process that dies."""
    return files.lock(folder / HOME, f"{job}.lock")


def sweep_trials(folder: Path) -> int:
    """How many trials a sweep asked of the study in all its jobs; 0 where none did. ValueError on a damaged file."""
    found = files.read_yaml(folder / SWEEP, dict, configurations.REMEDY) or {"trials": 0}
    if list(found) != ["trials"] or not is_int(found["trials"]) or found["trials"] < 0:
        what = f"it holds {found}, and not the one key trials with a number from 0 on"
        raise files.damaged(folder / SWEEP, what, configurations.REMEDY)
    return found["trials"]


def is_of(folder: Path, cfg: DictConfig, metaparameters: Sequence[str], elsewhere: str = ELSEWHERE) -> bool:
    """Whether the folder is that of the configuration already.

    ValueError where its results are of another or of none, or where a process trains another in it.
    """
    has_results = (folder / records.FILE).exists() or any(folder.glob("*.ckpt"))  # which are written after it
    different = _different(folder, cfg, metaparameters)
    if different == []:
        return True
    if different and any(map(files.is_locked, (folder / HOME).glob(f"{JOBS}*.lock"))):
        raise ValueError(f"{folder} is being trained in another configuration ({', '.join(different)}); {elsewhere}")
    if has_results:
        what = f"of another configuration ({', '.join(different)})" if different else f"but no {configurations.FILE}"
        raise ValueError(f"{folder} holds results {what}; {elsewhere}")
    return False


def _different(folder: Path, cfg: DictConfig, metaparameters: Sequence[str]) -> list[str] | None:
    """Where the folder's configuration differs, in words; None where it has none."""
    saved = configurations.read(folder)
    return None if saved is None else differences(saved, OmegaConf.to_container(cfg, resolve=True), metaparameters)


def _claim(folder: Path, cfg: DictConfig, overrides: Sequence[str]) -> None:
    (folder / HOME).mkdir(exist_ok=True)
    files.write_atomically(folder / configurations.OVERRIDES, OmegaConf.to_yaml(list(overrides)))
    files.write_atomically(folder / configurations.FILE, OmegaConf.to_yaml(cfg, resolve=True))


def differences(saved: Mapping[str, Any], asked: Any, metaparameters: Sequence[str]) -> list[str]:
    """In words, where two resolved configurations differ in what changes results, but for the `metaparameters`."""
    here = of_today(dict(flat(asked)))
    there = of_today({key: value for key, value in flat(saved) if key in here or key not in FORMER_KEYS})
    return [
        f"{key} is {_shown(key, there, metaparameters)} there and {_shown(key, here, metaparameters)} here"
        for key in dict.fromkeys([*there, *here])
        if _matters(key) and _compared(key, there, metaparameters) != _compared(key, here, metaparameters)
    ]


def of_today(flat: Mapping[str, Any]) -> dict[str, Any]:
    """A recorded configuration, by dotted key, in the words of today, with what could not be set before 0.2."""
    return (
        {"precision": "ieee", "replicate": 0}
        | dict.fromkeys(OPTIONAL)
        | {key: FORMER_TARGETS.get(value, value) if key.endswith("._target_") else value for key, value in flat.items()}
    )


def _compared(key: str, flat: Mapping[str, Any], metaparameters: Sequence[str]) -> Any:
    """What must be the same of a value: of a metaparameter, whether trials have it."""
    if key in metaparameters:
        return key not in OPTIONAL or flat[key] is not None
    return flat.get(key, ...)


def flat(node: Mapping[Any, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in node.items():
        if isinstance(value, Mapping) and value:
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _matters(key: str) -> bool:
    if _is_in(key, COMPARED):
        return True
    return key.rpartition(".")[2] != "_partial_" and not _is_in(key, IGNORED)


def _is_in(key: str, groups: Sequence[str]) -> bool:
    return any(f"{key}.".startswith(f"{group}.") for group in groups)


def _shown(key: str, flat: Mapping[str, Any], metaparameters: Sequence[str]) -> str:
    if key not in flat:
        return "absent"
    if key in metaparameters and flat[key] is not None:
        return "given trial by trial"
    return flat[key] if isinstance(flat[key], str) else json.dumps(flat[key], default=str)
