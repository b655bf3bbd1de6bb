"""Schedules of the learning rate: functions (step, metaparameters) -> the factor on each trial's learning rate.

Shapes: S trials in a slice of the stack.
"""

from torch import Tensor


def constant(step: int) -> float:
    """The factor on the learning rate at update `step` (from 0): always 1."""
    return 1.0


def linear(step: int, decay_steps: Tensor, end_factor: Tensor) -> Tensor:
    """The factor (S,) on the learning rate at update `step` (from 0): from 1 to end_factor, after decay_steps flat."""
    return 1 - (1 - end_factor) * (step / decay_steps).clamp(max=1)
