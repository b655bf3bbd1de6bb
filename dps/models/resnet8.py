"""ResNet-8: three pre-activation residual blocks without batch normalisation (the study's network for CIFAR-10)."""

import torch.nn.functional as F
from torch import Tensor, nn

from dps.models.layers import Conv2d, Linear, append_channels


class _Block(nn.Module):
    def __init__(self, in_channels: int, channels: int, stride: int):
        super().__init__()
        self.conv1 = Conv2d(in_channels, channels, 3, stride, same=True)
        self.conv2 = Conv2d(channels, channels, 3, same=True)
        self.in_channels, self.channels, self.stride = in_channels, channels, stride

    def forward(self, x: Tensor) -> Tensor:
        active = F.relu(x)
        return self._shortcut(x, active) + self.conv2(F.relu(self.conv1(active)))

    def _shortcut(self, x: Tensor, active: Tensor) -> Tensor:
        """The input itself or, where the shape changes, its ReLU averaged over the stride, with zero channels after it.

        The study's code appends all zero channels after the others, and puts none before them.
        """
        if self.in_channels == self.channels and self.stride == 1:
            return x
        pooled = F.avg_pool2d(active, self.stride)
        return append_channels(pooled, self.channels - self.in_channels, stack_of=x.shape[1] // self.in_channels)


class ResNet8(nn.Module):
    """75,050 parameters: conv 3x3x16, blocks of 16, 32, 64 channels, dense; (B, 3, 32, 32) to logits (B, 10)."""

    def __init__(self, in_channels: int = 3, classes: int = 10):
        super().__init__()
        self.conv = Conv2d(in_channels, 16, 3, same=True)
        self.blocks = nn.Sequential(_Block(16, 16, 1), _Block(16, 32, 2), _Block(32, 64, 2))
        self.dense = Linear(64, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.blocks(self.conv(x)))
        return self.dense(x.mean((2, 3), keepdim=True))
