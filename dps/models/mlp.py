"""A multilayer perceptron of stock layers: what any network of torch's own layers looks like here."""

from collections.abc import Sequence
from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn


class MLP(nn.Module):
    """Dense layers with ReLU between them; (B, ...) images or features of `inputs` numbers to logits (B, classes)."""

    def __init__(self, inputs: int = 784, hidden: Sequence[int] = (300, 100), classes: int = 10):
        super().__init__()
        sizes = [inputs, *hidden, classes]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(1)
        for layer in self.layers[:-1]:
            x = F.relu(layer(x))
        return self.layers[-1](x)
