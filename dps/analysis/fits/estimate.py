"""A number with its 95% interval."""

from __future__ import annotations

import math
from typing import NamedTuple


class Estimate(NamedTuple):
    """A value and the ends of its interval; an end is infinite where the data do not bound it, nan where unknown."""

    value: float
    low: float = math.nan
    high: float = math.nan
