"""From the unit cube to metaparameters: search dimensions in Hydra's sweep grammar, and the Sobol points inside them.

interval(a, b)                        uniform on [a, b)
tag(log, interval(a, b))              log10-uniform
tag(one_minus, log, interval(a, b))   1 - x is log10-uniform ('reverse log'); the unit interval's upper end is x = a
int(...)                              any of these, truncated to an integer
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override
from hydra.errors import HydraException

if TYPE_CHECKING:
    import numpy as np

TAGS = ("log", "one_minus")
_EXAMPLES = "interval(a, b), tag(log, interval(a, b)), tag(one_minus, log, interval(a, b)) or int(...) of one of these"


@dataclass(frozen=True)
class Dimension:
    """One metaparameter's range; raises ValueError where its ends cannot span the scale asked for."""

    key: str
    low: float
    high: float
    log: bool
    one_minus: bool
    integer: bool

    def __post_init__(self) -> None:
        ends = f"{self.key}: interval({self.low}, {self.high})"
        if not -math.inf < self.low < self.high < math.inf:
            raise ValueError(f"{ends} must have finite ends, the lower one first")
        if self.log and self.one_minus and self.high >= 1:
            raise ValueError(f"{ends} with the tags one_minus and log must end below 1")
        if self.log and not self.one_minus and self.low <= 0:
            raise ValueError(f"{ends} with the tag log must start above 0")

    def at(self, u: np.ndarray) -> list[float] | list[int]:
        """The metaparameter's values at `u` (T,), points of [0, 1)."""
        start, end = (1 - self.high, 1 - self.low) if self.one_minus else (self.low, self.high)
        if self.log:
            start, end = math.log10(start), math.log10(end)
        x = start + u * (end - start)
        if self.log:
            x = 10**x
        if self.one_minus:
            x = 1 - x
        values: list[float] = x.tolist()
        return [int(value) for value in values] if self.integer else values


def parse(key: str, text: str) -> Dimension:
    """The dimension that `text` gives for `key`; raises ValueError where it is not an interval."""
    try:
        override = OverridesParser.create().parse_overrides([f"{key}={text}"])[0]
    except HydraException as error:
        raise ValueError(f"{key}={text} cannot be read; write {_EXAMPLES}") from error
    return from_override(override)


def from_override(override: Override) -> Dimension:
    """The dimension of a parsed command-line override; raises ValueError where it is not an interval."""
    if not override.is_interval_sweep():
        raise ValueError(f"{override.input_line} is not an interval; write {_EXAMPLES}")
    sweep = override.value()
    assert isinstance(sweep, IntervalSweep) and sweep.start is not None and sweep.end is not None
    if unknown := sorted(sweep.tags.difference(TAGS)):
        raise ValueError(f"{override.input_line} has the unknown tag {unknown[0]}; the tags are {' and '.join(TAGS)}")
    return Dimension(
        override.key_or_group,
        sweep.start,
        sweep.end,
        log="log" in sweep.tags,
        one_minus="one_minus" in sweep.tags,
        integer=isinstance(sweep.start, int),
    )


def sample(
    dimensions: Sequence[Dimension], first: int, count: int, replicate: int = 0
) -> dict[str, list[float] | list[int]]:
    """Trials `first` to `first + count - 1` of a replicate's Sobol sequence without its first point, by key.

    That of replicate 0 is not scrambled, and begins with zeros; each other one is scrambled, with the replicate for
    its seed.
    """
    from scipy.stats.qmc import Sobol

    points = Sobol(len(dimensions), scramble=replicate > 0, rng=replicate).fast_forward(1 + first).random(count)
    return {dimension.key: dimension.at(u) for dimension, u in zip(dimensions, points.T, strict=True)}
