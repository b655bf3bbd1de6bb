"""Mean and standard deviation of training examples, by which they are standardised.

Dimensions: N examples, C channels or features, H height, W width.
"""

import torch
from torch import Tensor

PIXEL_LEVELS = 256


def feature_statistics(features: Tensor, per_channel: bool) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation in float64 of each feature of (N, C, ...), or of all: each (1, C or 1, ...).

    Raises:
        ValueError: a feature, or all of them together, has a single value.
    """
    groups = [feature.double() for feature in features.transpose(0, 1)] if per_channel else [features.double()]
    if constant := [number for number, group in enumerate(groups) if bool((group == group.flatten()[0]).all())]:
        if per_channel:
            what = f"feature {constant[0]} (from 0) has the same value in all training examples"
            raise ValueError(f"data: {what}: leave it out, or set data.standardise=all")
        raise ValueError("data: all features of all training examples have the same value: give data that differ")
    deviation, mean = zip(*(torch.std_mean(group, correction=0) for group in groups), strict=True)
    shape = (1, -1, *[1] * (features.ndim - 2))
    return torch.stack(mean).reshape(shape), torch.stack(deviation).reshape(shape)


def pixel_statistics(images: Tensor, per_channel: bool) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation of uint8 pixels (N, C, H, W) / 255 in float64: each (1, C or 1, 1, 1).

    Raises:
        ValueError: all pixels, or all of a channel, have the same value.
    """
    groups = images.transpose(0, 1).flatten(1) if per_channel else images.reshape(1, -1)
    counts = torch.stack([torch.bincount(group, minlength=PIXEL_LEVELS) for group in groups]).double()
    levels = torch.arange(PIXEL_LEVELS, dtype=torch.float64) / (PIXEL_LEVELS - 1)
    mean = (counts * levels).sum(1, keepdim=True) / counts.sum(1, keepdim=True)
    variance = (counts * (levels - mean) ** 2).sum(1, keepdim=True) / counts.sum(1, keepdim=True)
    if not bool((variance > 0).all()):
        raise ValueError(
            "data.root: every pixel of the training images has the same value: set it to a good copy of the data"
        )
    return mean.reshape(1, -1, 1, 1), variance.sqrt().reshape(1, -1, 1, 1)
