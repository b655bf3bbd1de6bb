"""The metaparameters of a trial: one row for each, from which everything else about it follows.

A metaparameter that is not in TABLE is declared in a configuration, under the top-level key `metaparameters`, by a
mapping with the same fields:

    metaparameters:
      warmup_steps: {option: lr_schedule.warmup_steps, type: int, range: "[0, inf)", scale: linear, idle: 0}
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from dps.protocol.kinds import LARGEST
from dps.protocol.values import is_int, is_number, require, require_typed

TYPES: dict[str, type[float]] = {"float": float, "int": int}
SCALES = ("linear", "log", "one_minus_log")
PARTS = ("optimizer", "lr_schedule")  # functions and classes, which may take more than TABLE has
OWNERS = (*PARTS, "loss")
_INTERVAL = re.compile(r"([\[(])\s*(\S+)\s*,\s*(\S+)\s*([\])])")


@dataclass(frozen=True)
class Metaparameter:
    """One metaparameter of a trial.

    `name` is its column in trials.csv, and the argument of the optimizer or the schedule that takes it; `option` is
    its key on the command line, in `optimizer`, `lr_schedule` or `loss`; `type` is int or float; `range`, such as
    "(0, inf)" or "[0, 1)", holds the values that are accepted; `scale` says how figures show it: linear, log, or
    one_minus_log, which is log of 1 - x; `idle` is the value of a row of the stack that holds no trial. Where it is
    `optional`, null stands for doing without it, and its column is empty.
    """

    name: str
    option: str
    type: type[float]
    range: str
    scale: str
    idle: float
    optional: bool = False

    @property
    def owner(self) -> str:
        """Who takes it: one of OWNERS."""
        return self.option.partition(".")[0]

    @property
    def wanted(self) -> str:
        """The accepted values in words."""
        noun = "integer" if self.type is int else "number"
        if self.range == "(0, inf)":
            return f"a positive {noun}"
        return f"an integer in {self.range}" if self.type is int else f"in {self.range}"

    def check(self, value: Any) -> None:
        """ValueError unless the value is of the type and in the range."""
        require(not is_int(value) or abs(value) <= LARGEST, self.option, value, f"at most {LARGEST}")
        of_type = is_int(value) if self.type is int else is_number(value)
        require_typed(of_type and contains(self.range, value), self.option, value, self.wanted)


TABLE = (
    Metaparameter("lr", "optimizer.lr", float, "(0, inf)", "log", 0.0),
    Metaparameter("momentum", "optimizer.momentum", float, "[0, 1)", "one_minus_log", 0.0),
    Metaparameter("decay_steps", "lr_schedule.decay_steps", int, "(0, inf)", "linear", 1.0),
    Metaparameter("end_factor", "lr_schedule.end_factor", float, "[0, 1]", "log", 0.0),
    Metaparameter("warmup_steps", "lr_schedule.warmup_steps", int, "[0, inf)", "linear", 0.0, optional=True),
    Metaparameter("beta1", "optimizer.beta1", float, "[0, 1)", "one_minus_log", 0.0),
    Metaparameter("beta2", "optimizer.beta2", float, "[0, 1)", "one_minus_log", 0.0),
    Metaparameter("eps", "optimizer.eps", float, "[1e-30, inf)", "log", 1.0),  # less would be 0 in float32: 0 / 0
    Metaparameter("weight_decay", "optimizer.weight_decay", float, "[0, inf)", "log", 0.0, optional=True),
    Metaparameter("label_smoothing", "loss.label_smoothing", float, "[0, 1]", "linear", 0.0, optional=True),
)
ADDED = TABLE[4:]  # records of before have no column of these names, or one that their configuration declares


def declared(configured: Mapping[str, Mapping[str, Any]] | None) -> tuple[Metaparameter, ...]:
    """TABLE, and what else a configuration declares under `metaparameters`.

    ValueError that names the entry and the field that is wrong.
    """
    return (*TABLE, *(_declared(str(name), row) for name, row in (configured or {}).items() if not _added(name, row)))


def _added(name: str, row: Any) -> bool:
    """Whether it was declared before TABLE had it."""
    known = {one.name: (one.option, one.type.__name__) for one in ADDED}
    return isinstance(row, Mapping) and known.get(name) == (row.get("option"), row.get("type"))


def _declared(name: str, row: Any) -> Metaparameter:
    key = f"metaparameters.{name}"
    require(name.isidentifier() and name not in {known.name for known in TABLE}, "metaparameters", name, "a new name")
    wanted = [field.name for field in fields(Metaparameter) if field.name not in ("name", "optional")]
    right = isinstance(row, Mapping) and sorted(map(str, row)) == sorted(wanted)
    require(right, key, row, f"a mapping with the keys {', '.join(wanted)}")
    require(row["type"] in list(TYPES), f"{key}.type", row["type"], f"one of {', '.join(TYPES)}")
    require(row["scale"] in SCALES, f"{key}.scale", row["scale"], f"one of {', '.join(SCALES)}")
    require(_is_interval(str(row["range"])), f"{key}.range", row["range"], 'an interval such as "[0, 1)"')
    closed = f"[{row['range'][1:-1]}]"
    idle = is_number(row["idle"]) and contains(closed, row["idle"])
    require_typed(idle, f"{key}.idle", row["idle"], f"a number in {closed}")
    options = [f"{part}.{name}" for part in PARTS]
    require(row["option"] in options, f"{key}.option", row["option"], " or ".join(options))
    return Metaparameter(name, row["option"], TYPES[row["type"]], row["range"], row["scale"], float(row["idle"]))


def _is_interval(text: str) -> bool:
    match = _INTERVAL.fullmatch(text)
    try:
        return match is not None and float(match[2]) < float(match[3])
    except ValueError:  # letters
        return False


def contains(interval: str, value: float) -> bool:
    """Whether a finite value lies in an interval such as "[0, 1)"."""
    match = _INTERVAL.fullmatch(interval)
    assert match is not None, interval
    left, low, high, right = match.groups()
    above = value >= float(low) if left == "[" else value > float(low)
    below = value <= float(high) if right == "]" else value < float(high)
    return above and below and math.isfinite(value)
