"""What a user can get wrong in a study's configuration, found before anything is loaded."""

import importlib.util
import inspect
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from dps.protocol.values import is_int, is_number, require

HARMLESS_SPARSITY = 0.99  # a model of 50 parameters keeps one, so it need not be built to be counted
PRECISIONS = "32-true", "64-true", "bf16-mixed"  # of the trainer: the type of the numbers
PRODUCTS = "ieee", "tf32", "bf16"  # of convolutions and matrix products of float32 numbers
POSITIVE = "a positive integer"
TARGETS = ("data", "model", "optimizer", "lr_schedule", "pruning", "callbacks", "bookkeeping")
# Keys that only dps hands over, by the option that sets what they would set behind the record's back.
ELSEWHERE = {
    "data.batch_size": "batch_size",
    "data.seed": "seed_data",
    "data.load.root": "data.root",
    "optimizer.lr_schedule": "lr_schedule",
    "pruning.sparsity": "sparsity",
    "trainer.max_steps": "max_steps",
}
# All other arguments of the Trainer would change what is trained, or are dps's own to give.
OF_THE_TRAINER = (
    *("_target_", "accelerator", "devices", "precision", "strategy"),
    *("deterministic", "benchmark", "profiler", "detect_anomaly"),
)


def check(cfg: DictConfig) -> None:
    """Raise a ValueError that names the option, its value and what would be right."""
    _check_surroundings()
    _check_missing(cfg)
    _check_one_key_each(cfg)
    for group in TARGETS:
        _check_arguments(cfg.get(group), f"{group}.")
    require(is_int(cfg.batch_size) and cfg.batch_size > 0, "batch_size", cfg.batch_size, POSITIVE)
    most = cfg.data.get("train_examples")
    fits = most is None or cfg.batch_size <= most
    require(fits, "batch_size", cfg.batch_size, f"at most {most}, the size of the training set")
    require(is_number(cfg.sparsity) and 0 <= cfg.sparsity < 1, "sparsity", cfg.sparsity, "in [0, 1)")
    require(is_number(cfg.goal.error) and 0 <= cfg.goal.error < 1, "goal.error", cfg.goal.error, "in [0, 1)")
    for key in ("seed_data", "replicate"):
        require(is_int(cfg[key]) and cfg[key] >= 0, key, cfg[key], "an integer from 0 on")
    for key in ("goal.interval_steps", "goal.examples_per_block", "max_steps", "trainer.devices"):
        value = OmegaConf.select(cfg, key)
        require(is_int(value) and value > 0, key, value, POSITIVE)
    for key in ("stack.trials_per_slice", "stack.examples_per_pass"):
        value = OmegaConf.select(cfg, key)
        require(value is None or (is_int(value) and value > 0), key, value, f"{POSITIVE}, or null to measure it")
    for key, or_null in (("goal.early_reject", ""), ("stack.products", ", or null to measure it")):
        value = OmegaConf.select(cfg, key)
        require(isinstance(value, bool) or (value is None and or_null != ""), key, value, f"true or false{or_null}")
    race = cfg.race
    is_race = isinstance(race, bool) or (is_int(race) and race > 0)
    require(is_race, "race", race, "true, false or a positive integer, the number of trials that reach the goal")
    for key, right in (("trainer.precision", PRECISIONS), ("precision", PRODUCTS)):
        value = OmegaConf.select(cfg, key)
        require(value in right, key, value, f"one of {', '.join(right)}")
    shares = cfg.batch_size % cfg.trainer.devices == 0
    require(shares, "trainer.devices", cfg.trainer.devices, f"a divisor of batch_size={cfg.batch_size}")
    if cfg.sparsity > HARMLESS_SPARSITY:
        _check_something_left(cfg)


def _check_surroundings() -> None:
    """Nothing outside the configuration sets what it sets, or stands in for what it names."""
    for name in os.environ:
        if name.startswith("PL_TRAINER_"):  # Lightning takes them for arguments of its trainer
            raise ValueError(f"the environment variable {name} would change what is trained: unset it")
    ours, found = Path(__file__).parents[2], importlib.util.find_spec("callbacks")
    if found is None or found.origin is None or not Path(found.origin).is_relative_to(ours / "callbacks"):
        other = "nothing" if found is None else found.origin
        raise ValueError(
            f"the name callbacks stands for {other}, not for the package of dps: rename that file, or move it away"
        )


def _check_one_key_each(cfg: DictConfig) -> None:
    """A value that is recorded or compared can be set by one key alone."""
    for key, home in ELSEWHERE.items():
        parent, _, name = key.rpartition(".")
        if name in list(OmegaConf.select(cfg, parent) or ()):
            raise ValueError(f"{key} is not an option: set it by {home}")
    for name in cfg.trainer:
        if name not in OF_THE_TRAINER:
            right = ", ".join(OF_THE_TRAINER[1:])
            raise ValueError(f"trainer.{name} is not an option, for it would change what is trained: {right} are")


def _check_arguments(node: Any, path: str = "") -> None:
    """Nothing is given to a target that it does not take; one that takes anything is left to say so itself."""
    from hydra.utils import get_object

    for name in map(str, node if isinstance(node, DictConfig) else ()):
        if not OmegaConf.is_missing(node, name):
            _check_arguments(node[name], f"{path}{name}.")
    if not isinstance(node, DictConfig) or "_target_" not in node:
        return
    takes = inspect.signature(get_object(node["_target_"])).parameters.values()
    if any(one.kind == one.VAR_KEYWORD for one in takes):
        return
    right = [one.name for one in takes]
    for name in map(str, node):
        if not name.startswith("_") and name not in right:
            raise ValueError(f"{path}{name} is not an option: {node['_target_']} takes {', '.join(right) or 'none'}")


def _check_something_left(cfg: DictConfig) -> None:
    from hydra.utils import instantiate

    from dps.pruning import kept_parameters

    parameters = sum(p.numel() for p in instantiate(cfg.model).parameters())
    most = f"at most {1 - 1 / parameters:.10f}, which leaves one of the model's {parameters} parameters"
    require(kept_parameters(parameters, cfg.sparsity) > 0, "sparsity", cfg.sparsity, most)


def _check_missing(cfg: DictConfig) -> None:
    for key in _missing(OmegaConf.to_container(cfg, resolve=False)):
        raise ValueError(f"{key} has no value: give one, as in {key}=VALUE")


def _missing(node: Any, prefix: str = "") -> Iterator[str]:
    """OmegaConf.missing_keys without resolving interpolations, which outside a job would fail."""
    for name, value in node.items() if isinstance(node, dict) else ():
        if value == "???":
            yield prefix + name
        yield from _missing(value, f"{prefix}{name}.")
