"""Simple-CNN: two convolutions and a dense layer, as the study's code has it and as Shallue et al. describe it."""

import torch.nn.functional as F
from torch import Tensor, nn

from dps.models.layers import Conv2d, Linear


def _pool_then_relu(x: Tensor) -> Tensor:
    """ReLU, then max-pooling 2x2: the two commute exactly, and in this order ReLU sees a quarter of the pixels."""
    return F.relu(F.max_pool2d(x, 2))


class SimpleCNN(nn.Module):
    """62,346 parameters: conv 5x5x32, pool, conv 5x5x64, pool, dense 1024 -> 10; (B, 1, 28, 28) to logits (B, 10)."""

    def __init__(self, in_channels: int = 1, classes: int = 10):
        super().__init__()
        self.conv1 = Conv2d(in_channels, 32, 5)
        self.conv2 = Conv2d(32, 64, 5)
        self.dense = Linear(1024, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = _pool_then_relu(self.conv1(x))
        x = _pool_then_relu(self.conv2(x))
        return self.dense(x)


class SimpleCNNShallue(nn.Module):
    """3,274,634 parameters: 'same' padding and a hidden layer of 1024 units (Shallue et al. 2019), without dropout."""

    def __init__(self, in_channels: int = 1, classes: int = 10):
        super().__init__()
        self.conv1 = Conv2d(in_channels, 32, 5, same=True)
        self.conv2 = Conv2d(32, 64, 5, same=True)
        self.hidden = Linear(7 * 7 * 64, 1024)
        self.dense = Linear(1024, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = _pool_then_relu(self.conv1(x))
        x = _pool_then_relu(self.conv2(x))
        return self.dense(F.relu(self.hidden(x)))
