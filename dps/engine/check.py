"""A study's configuration: what a user can get wrong in it, and the metaparameters of each of its trials."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

HARMLESS_SPARSITY = 0.99  # no model is so small that this leaves nothing, so it need not be built to be counted
PRECISIONS = "32-true", "64-true", "bf16-mixed"
PER_TRIAL = {
    "lr": "optimizer.lr",
    "momentum": "optimizer.momentum",
    "decay_steps": "lr_schedule.decay_steps",
    "end_factor": "lr_schedule.end_factor",
}


def trials_of(cfg: DictConfig) -> list[dict[str, Any]]:
    """For each trial its number and metaparameters, a scalar in the configuration standing for all of them.

    Raises ValueError where the lists differ in length or a value is out of its range.
    """
    numbers = _as_list(cfg.trial)
    if not numbers or any(not _is_int(n) or n < 0 for n in numbers) or len(set(numbers)) < len(numbers):
        raise ValueError(f"trial={_shown(cfg.trial)} must be a number from 0 on, or a list of different ones")
    given = {name: OmegaConf.select(cfg, key) for name, key in PER_TRIAL.items() if _has(cfg, key)}
    columns = {name: _broadcast(PER_TRIAL[name], value, numbers) for name, value in given.items()}
    for name, values in columns.items():
        for value in values:
            _check_metaparameter(name, value)
    return [{"trial": n} | {name: values[i] for name, values in columns.items()} for i, n in enumerate(numbers)]


def check(cfg: DictConfig) -> None:
    """Raise a ValueError that names the option, its value and what would be right, before anything is loaded."""
    _check_missing(cfg)
    _require(_is_int(cfg.batch_size) and cfg.batch_size > 0, "batch_size", cfg.batch_size, "a positive integer")
    train_examples = cfg.data.get("train_examples")
    if train_examples is not None and cfg.batch_size > train_examples:
        limit = f"at most {train_examples}, the size of the training set"
        raise ValueError(f"batch_size={cfg.batch_size} must be {limit}")
    _require(_is_number(cfg.sparsity) and 0 <= cfg.sparsity < 1, "sparsity", cfg.sparsity, "in [0, 1)")
    _require(_is_number(cfg.goal.error) and 0 <= cfg.goal.error < 1, "goal.error", cfg.goal.error, "in [0, 1)")
    for key in ("goal.interval_steps", "goal.examples_per_block", "max_steps", "trainer.devices"):
        value = OmegaConf.select(cfg, key)
        _require(_is_int(value) and value > 0, key, value, "a positive integer")
    for key in ("stack.trials_per_slice", "stack.examples_per_pass"):
        value = OmegaConf.select(cfg, key)
        _require(
            value is None or (_is_int(value) and value > 0), key, value, "a positive integer, or null to measure it"
        )
    _require(cfg.trainer.precision in PRECISIONS, "trainer.precision", cfg.trainer.precision, f"one of {PRECISIONS}")
    for key, or_null in (("race", ""), ("goal.early_reject", ""), ("stack.products", ", or null to measure it")):
        value = OmegaConf.select(cfg, key)
        accepted = isinstance(value, bool) or (value is None and or_null != "")
        _require(accepted, key, value, f"true or false{or_null}")
    _require(_is_int(cfg.seed_data) and cfg.seed_data >= 0, "seed_data", cfg.seed_data, "an integer from 0 on")
    if cfg.batch_size % cfg.trainer.devices:
        raise ValueError(f"trainer.devices={cfg.trainer.devices} must divide batch_size={cfg.batch_size}")
    trials_of(cfg)
    if cfg.sparsity > HARMLESS_SPARSITY:
        _check_something_left(cfg)


def _check_something_left(cfg: DictConfig) -> None:
    from hydra.utils import instantiate

    from dps.pruning.pruning import kept_parameters

    parameters = sum(p.numel() for p in instantiate(cfg.model).parameters())
    if kept_parameters(parameters, cfg.sparsity) == 0:
        raise ValueError(
            f"sparsity={cfg.sparsity} must be at most {1 - 1 / parameters:.10f}, which leaves one of the model's "
            f"{parameters} parameters"
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


def _has(cfg: DictConfig, key: str) -> bool:
    parent, _, name = key.rpartition(".")
    return name in list(cfg[parent])  # `in cfg[parent]` is false for null


def _broadcast(key: str, value: Any, numbers: Sequence[int]) -> list[Any]:
    if not isinstance(value, ListConfig | list | tuple):
        return [value] * len(numbers)
    if len(value) != len(numbers):
        raise ValueError(
            f"{key} lists {len(value)} values for {len(numbers)} trials: give one for each, or a single one"
        )
    return list(value)


_RANGES: Mapping[str, tuple[Any, str]] = {
    "lr": (lambda value: value > 0, "a positive number"),
    "momentum": (lambda value: 0 <= value < 1, "in [0, 1)"),
    "decay_steps": (lambda value: _is_int(value) and value > 0, "a positive integer"),
    "end_factor": (lambda value: 0 <= value <= 1, "in [0, 1]"),
}


def _check_metaparameter(name: str, value: Any) -> None:
    in_range, wanted = _RANGES[name]
    _require(_is_number(value) and in_range(value), PER_TRIAL[name], value, wanted)


def _require(holds: bool, key: str, value: Any, wanted: str) -> None:
    if not holds:
        raise ValueError(f"{key}={_shown(value)} must be {wanted}")


def _as_list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, ListConfig | list | tuple) else [value]


def _shown(value: Any) -> str:
    return "null" if value is None else str(value)


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
