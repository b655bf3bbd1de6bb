"""What a user can get wrong in a study's configuration, found before anything is loaded."""

import importlib.util
import inspect
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import InterpolationResolutionError, MissingMandatoryValue

from dps.engine import targets
from dps.engine.arguments import check_arguments
from dps.engine.options import Options
from dps.protocol.metaparameters import OWNERS, TABLE
from dps.protocol.values import require

# Keys that only dps hands over, by the option that sets what they would set behind the record's back.
ELSEWHERE = {
    "data.batch_size": "batch_size",
    "data.seed": "seed_data",
    "data.load.root": "data.root",
    "optimizer.lr_schedule": "lr_schedule",
    "pruning.sparsity": "sparsity",
    "trainer.max_steps": "max_steps",
}


def check(cfg: DictConfig) -> None:
    """Raise a ValueError that names the option, its value and what would be right."""
    _check_surroundings()
    _check_missing(cfg)
    given = plain(cfg)
    targets.refuse_foreign(given)
    _refuse_second_keys(given)
    if "goal" not in (given.get("callbacks") or {}):
        raise ValueError("callbacks must have goal, which ends and records trials, as in callbacks=[curves,goal]")
    _leave_to_trials(given)
    check_arguments(Options, given, "", ELSEWHERE)
    data, batch_size, devices = given["data"], given["batch_size"], given["trainer"]["devices"]
    _check_source(data)
    _check_loggers(given.get("logger") or {})
    if (most := data.get("train_examples")) is not None:
        require(batch_size <= most, "batch_size", batch_size, f"at most {most}, the size of the training set")
    require(batch_size % devices == 0, "trainer.devices", devices, f"a divisor of batch_size={batch_size}")
    _check_classes(given)
    from dps.engine.network import check_network  # torch, which a command that is wrong need not wait for

    check_network(given)


def _check_surroundings() -> None:
    """Nothing outside the configuration sets what it sets, or stands in for what it names."""
    for name in os.environ:
        if name.startswith("PL_TRAINER_"):  # Lightning takes them for arguments of its trainer
            raise ValueError(f"the environment variable {name} would change what is trained: unset it")
    refuse_stand_in("callbacks")


def refuse_stand_in(name: str) -> None:
    """ValueError where a file of the user's is imported in place of a package that lies beside that of dps."""
    ours, found = Path(__file__).parents[2] / name, importlib.util.find_spec(name)
    if found is None or found.origin is None or not Path(found.origin).is_relative_to(ours):
        other = "nothing" if found is None else found.origin
        raise ValueError(
            f"the name {name} stands for {other}, not for the package of dps: rename that file, or move it away"
        )


def _check_missing(cfg: DictConfig) -> None:
    for key in _missing(OmegaConf.to_container(cfg, resolve=False)):
        raise ValueError(f"{key} has no value: give one, as in {key}=VALUE")


def _missing(node: Any, prefix: str = "") -> Iterator[str]:
    """OmegaConf.missing_keys without resolving interpolations, which outside a job would fail."""
    for name, value in node.items() if isinstance(node, dict) else ():
        if value == "???":
            yield prefix + name
        yield from _missing(value, f"{prefix}{name}.")


def plain(node: Any) -> Any:
    """Dictionaries, lists and values; ... for one that follows from a job which has not begun, and is checked then."""
    if isinstance(node, DictConfig):
        found = {}
        for key in node:
            try:
                found[str(key)] = plain(node[key])
            except (InterpolationResolutionError, MissingMandatoryValue):
                found[str(key)] = ...
        return found
    return [plain(one) for one in node] if isinstance(node, ListConfig) else node


def _refuse_second_keys(given: dict[str, Any]) -> None:
    """A value that is recorded or compared can be set by one key alone."""
    for key, home in ELSEWHERE.items():
        *parents, name = key.split(".")
        node: Any = given
        for parent in parents:
            node = node.get(parent) if isinstance(node, dict) else None
        if isinstance(node, dict) and name in node:
            raise ValueError(f"{key} is not an option: set it by {home}")


def _leave_to_trials(given: dict[str, Any]) -> None:
    """Metaparameters, each a value or a list of them, are checked trial by trial."""
    configured = given.get("metaparameters")
    names = [one.name for one in TABLE] + list(configured if isinstance(configured, dict) else ())
    optional = [one.name for one in TABLE if one.optional]
    for part in (given.get(owner) for owner in OWNERS):
        if isinstance(part, dict):
            there = [name for name in names if name in part and not (part[name] is None and name in optional)]
            part.update(dict.fromkeys(there, ...))


def _check_classes(given: dict[str, Any]) -> None:
    """Where a class is named, it is one of the kind that its group is for, and nothing of it is left to write."""
    import pytorch_lightning as pl

    from dps.stack.optimizer import StackOptimizer

    parts: list[tuple[str, Any, type]] = [("optimizer", given["optimizer"], StackOptimizer)]
    parts += [(f"callbacks.{name}", part, pl.Callback) for name, part in given["callbacks"].items()]
    for option, part, kind in parts:
        made = targets.load(f"{option}._target_", target := part["_target_"])
        if isinstance(made, type) and not issubclass(made, kind):
            raise ValueError(f"{option}._target_={target} must be a {kind.__module__}.{kind.__name__}")
        if inspect.isabstract(made):
            lacking = ", ".join(sorted(made.__abstractmethods__))
            raise ValueError(f"{option}._target_={target} must have {lacking}")


def _check_source(data: dict[str, Any]) -> None:
    """What the class of the data does not take is for its `load`."""
    own = inspect.signature(targets.load("data._target_", data["_target_"])).parameters
    load = data.get("load")
    if not isinstance(load, dict) or all(one.kind != one.VAR_KEYWORD for one in own.values()):
        return
    source = {key: value for key, value in data.items() if key not in own and not key.startswith("_")}
    read = targets.load("data.load._target_", load["_target_"])
    check_arguments(read, {**source, "_target_": load["_target_"]}, "data.", {f"data.{key}" for key in load})


def _check_loggers(given: dict[str, Any]) -> None:
    """Lightning has a logger for TensorBoard, and not TensorBoard."""
    parts = [given] if "_target_" in given else list(given.values())
    asked = any(part["_target_"].endswith(".TensorBoardLogger") for part in parts)
    if asked and not any(map(importlib.util.find_spec, ("tensorboard", "tensorboardX"))):
        raise ValueError("logger=tensorboard needs a package that is not installed: pip install tensorboard")
