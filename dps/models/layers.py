"""Layers that run one model, or a whole stack of them when torch.func.functional_call hands them stacked parameters.

A stack rides beside the channels: every convolution of T models is one grouped convolution in channels-last memory,
or one batch of matrix products, which costs one kernel launch where T models cost T. Elementwise and pooling functions
need no change.

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
    """A square convolution with bias; `same` pads as TensorFlow does, otherwise nothing is padded ('valid').

    With `products`, a stack whose models differ in their images is one batch of matrix products. Otherwise images are
    brought to `memory_format` first.
    """

    bias: Tensor

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int = 1, same: bool = False):
        super().__init__(in_channels, out_channels, kernel, stride)
        self.same = same
        self.products = False
        self.memory_format = torch.channels_last

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, O, H', W'); in a stack, images (B, C, H, W) shared by all trials or (B, T * C, H, W)."""
        weight, bias, groups = self.weight, self.bias, 1
        if weight.ndim == 5:
            groups = x.shape[1] // weight.shape[2]
            weight, bias = weight.flatten(0, 1), bias.flatten()
        padding = 0
        if self.same:
            (top, bottom), (left, right) = (same_padding(n, self.kernel_size[0], self.stride[0]) for n in x.shape[-2:])
            if top == bottom == left == right:
                padding = top
            else:
                x = F.pad(x, (left, right, top, bottom))
        if groups > 1 and self.products:
            return self._by_products(F.pad(x, (padding,) * 4) if padding else x)
        x = x.to(memory_format=self.memory_format)
        return F.conv2d(x, weight, bias, self.stride, padding, groups=groups)

    def _by_products(self, x: Tensor) -> Tensor:
        """(B, T * C, H, W) to (B, T * O, H', W'): each model's patches, as rows of a matrix, times its weights."""
        patches = x.unflatten(1, (self.weight.shape[0], -1)).transpose(0, 1)
        for axis in (3, 4):
            patches = patches.unfold(axis, self.kernel_size[0], self.stride[0])
        rows = patches.permute(0, 1, 3, 4, 5, 6, 2).flatten(4).flatten(1, 3)
        weight = self.weight.permute(0, 1, 3, 4, 2).flatten(2)
        pixels = torch.baddbmm(self.bias[:, None], rows, weight.mT)
        trials, batch, _, height, width = patches.shape[:5]
        return pixels.view(trials, batch, height, width, -1).permute(1, 0, 4, 2, 3).flatten(1, 2)


class Linear(nn.Linear):
    """A dense layer with bias; images are flattened in the order channel, row, column."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) or (B, F) to (B, O); in a stack, (B, T * C, H, W) or (T, B, F) to (T, B, O)."""
        if self.weight.ndim == 2:
            return super().forward(x.flatten(1))
        if x.ndim == 4:
            x = x.reshape(len(x), len(self.weight), -1).transpose(0, 1)
        return torch.baddbmm(self.bias[:, None], x, self.weight.mT)


def append_channels(x: Tensor, number: int, stack_of: int) -> Tensor:
    """Zero channels after those of each model's images: (B, T * C, H, W) to (B, T * (C + number), H, W)."""
    return F.pad(x.unflatten(1, (stack_of, -1)), (0, 0, 0, 0, 0, number)).flatten(1, 2)
