"""Schedules of the learning rate: functions (step, metaparameters) -> the factor on each trial's learning rate.

With `warmup_steps`, W, the factor grows in equal parts to 1 over the first W steps, (step + 1) / W, and the schedule
begins at its own step 0 after them. W = 0 is without.

Shapes: S trials in a slice of the stack.
"""

import math

import torch
from torch import Tensor


def constant(step: int, warmup_steps: Tensor | None = None) -> float | Tensor:
    """The factor on the learning rate at update `step` (from 0): always 1; with a warm-up (S,), 1 after it."""
    return 1.0 if warmup_steps is None else _warmed(step, warmup_steps, torch.ones_like(warmup_steps))


def linear(step: int, decay_steps: Tensor, end_factor: Tensor, warmup_steps: Tensor | None = None) -> Tensor:
    """The factor (S,) on the learning rate at update `step` (from 0): from 1 to end_factor, after decay_steps flat."""
    factor = 1 - (1 - end_factor) * _decayed(step, decay_steps, warmup_steps)
    return factor if warmup_steps is None else _warmed(step, warmup_steps, factor)


def cosine(step: int, decay_steps: Tensor, end_factor: Tensor, warmup_steps: Tensor | None = None) -> Tensor:
    """The factor (S,) as of `linear`, but along half a wave of the cosine (arXiv:1608.03983, without its restarts)."""
    wave = (1 + (math.pi * _decayed(step, decay_steps, warmup_steps)).cos()) / 2
    factor = end_factor + (1 - end_factor) * wave
    return factor if warmup_steps is None else _warmed(step, warmup_steps, factor)


def _decayed(step: int, decay_steps: Tensor, warmup_steps: Tensor | None) -> Tensor:
    """The fraction (S,) of the decay that is over, from the end of the warm-up on."""
    since = step if warmup_steps is None else (step - warmup_steps).clamp(min=0)
    return (since / decay_steps).clamp(max=1)


def _warmed(step: int, warmup_steps: Tensor, factor: Tensor) -> Tensor:
    """Within the warm-up its factor (S,), and `factor` after it."""
    return torch.where(step < warmup_steps, (step + 1) / warmup_steps, factor)
