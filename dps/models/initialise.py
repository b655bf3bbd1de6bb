"""Initial weights, a function of the trial's seed alone."""

import math

import torch
from torch import nn

_TRUNCATED_STD = 0.87962566103423978  # standard deviation of a unit normal cut off at two standard deviations


def initialise(model: nn.Module, seed: int) -> None:
    """Draw every weight from a truncated normal of variance 1 / fan_in and set every bias to zero, in place.

    The draw is made in float32 on the CPU, whatever the model's dtype, so that a float64 run starts at the same point.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.zero_()
                continue
            std = math.sqrt(1 / parameter[0].numel()) / _TRUNCATED_STD
            draw = torch.empty(parameter.shape, dtype=torch.float32)
            nn.init.trunc_normal_(draw, std=std, a=-2 * std, b=2 * std, generator=generator)
            parameter.copy_(draw)
