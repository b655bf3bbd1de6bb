"""Layers that run one model, or a whole stack of them when torch.func.functional_call hands them stacked parameters.

A stack rides beside the channels: every convolution of T models is one grouped convolution in channels-last memory,
which costs one kernel launch where T models cost T. Elementwise and pooling functions need no change.

Shapes: T trials, B batch, C and O channels, H and W pixels, F features.
    images of one model        (B, C, H, W)        features of one model      (B, F)
    images of a stack          (B, T * C, H, W)    features of a stack        (T, B, F)
    a layer's own weight       (O, C, K, K)        and of a stack             (T, O, C, K, K)
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Zeros (before, after) an axis of `size` pixels, as TensorFlow's 'same' padding has them: an odd one last."""
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


class Conv2d(nn.Conv2d):
    """A square convolution with bias; `same` pads as TensorFlow does, otherwise nothing is padded ('valid')."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int = 1, same: bool = False):
        super().__init__(in_channels, out_channels, kernel, stride)
        self.same = same

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, O, H', W'); in a stack, images (B, C, H, W) shared by all trials or (B, T * C, H, W)."""
        weight, bias, groups = self.weight, self.bias, 1
        if weight.ndim == 5:
            groups = x.shape[1] // weight.shape[2]
            weight, bias = weight.flatten(0, 1), bias.flatten() if bias is not None else None
        padding = 0
        if self.same:
            (top, bottom), (left, right) = (same_padding(n, self.kernel_size[0], self.stride[0]) for n in x.shape[-2:])
            if top == bottom == left == right:
                padding = top
            else:
                x = F.pad(x, (left, right, top, bottom))
        x = x.to(memory_format=torch.channels_last)
        return F.conv2d(x, weight, bias, self.stride, padding, groups=groups)


class Linear(nn.Linear):
    """A dense layer with bias; images are flattened in the order channel, row, column."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) or (B, F) to (B, O); in a stack, (B, T * C, H, W) or (T, B, F) to (T, B, O)."""
        if self.weight.ndim == 2:
            return super().forward(x.flatten(1))
        if x.ndim == 4:
            x = x.unflatten(1, (self.weight.shape[0], -1)).flatten(2).transpose(0, 1)
        return torch.baddbmm(self.bias[:, None], x, self.weight.mT)


def pad_channels(x: Tensor, before: int, after: int, stack_of: int) -> Tensor:
    """Zero channels added to each model's images: (B, T * C, H, W) to (B, T * (before + C + after), H, W)."""
    return F.pad(x.unflatten(1, (stack_of, -1)), (0, 0, 0, 0, before, after)).flatten(1, 2)
