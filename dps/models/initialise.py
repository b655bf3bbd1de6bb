"""Initial weights, a function of the trial's seed alone."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

_TRUNCATED_STD = 0.87962566103423978  # standard deviation of a unit normal cut off at two standard deviations


def built(build: Callable[[], nn.Module], seed: int) -> nn.Module:
    """The network that `build` makes, with the initial weights of the seed, in float32 on the CPU.

    Whatever the constructor draws is drawn from the seed as well, and no global random state changes. A trial in
    float64 starts at the same point, since its weights are these, converted.
    """
    dtype = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = build()
    finally:
        torch.set_default_dtype(dtype)
    if not isinstance(model, nn.Module):
        raise TypeError(f"it gives a {type(model).__name__}, where a torch.nn.Module is expected")
    initialise(model, seed)
    return model


def initialise(model: nn.Module, seed: int) -> None:
    """Set the initial weights of linear and convolutional layers, or of all as the model itself has it, in place.

    Their weights are drawn from a truncated normal of variance 1 / fan_in and their biases are zero, as in the study's
    code. Other parameters, such as those of layer normalisation, keep what the constructor gave. A model that has a
    method `initialise(generator)` is initialised by it, and by nothing else.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        if own := getattr(model, "initialise", None):
            own(generator)
            return
        for layer in model.modules():
            if isinstance(layer, nn.Linear | _ConvNd) and not isinstance(layer, _ConvTransposeNd):
                _draw(layer.weight, generator)
                if layer.bias is not None:
                    layer.bias.zero_()


def _draw(weight: Tensor, generator: torch.Generator) -> None:
    """In float32 on the CPU, whatever the weight's dtype and device."""
    std = math.sqrt(1 / weight[0].numel()) / _TRUNCATED_STD
    draw = torch.empty(weight.shape, dtype=torch.float32)
    nn.init.trunc_normal_(draw, std=std, a=-2 * std, b=2 * std, generator=generator)
    weight.copy_(draw)
