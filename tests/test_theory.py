"""The formulas of the theory."""

import math

from dps.analysis import theory


def test_delta_is_twice_the_fall_to_the_lowest_loss() -> None:
    assert theory.delta([2.5, 3.0, 0.25, 0.75, math.nan]) == 4.5
