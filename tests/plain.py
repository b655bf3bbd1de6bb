"""One trial of the study in plain PyTorch, written apart from the package: what its stacks are compared with.

Each network is a function (parameters, images) -> logits, with the parameters in the package's order: weight and bias
of every layer, from the first to the last.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

Network = Callable[[Sequence[Tensor], Tensor], Tensor]


def tensorflow_conv(x: Tensor, weight: Tensor, bias: Tensor, stride: int = 1) -> Tensor:
    """A convolution with 'same' padding as TensorFlow documents it, for square images."""
    size, kernel = x.shape[-1], weight.shape[-1]
    remainder = size % stride
    total = max(kernel - stride, 0) if remainder == 0 else max(kernel - remainder, 0)
    padded = torch.zeros(*x.shape[:2], size + total, size + total, dtype=x.dtype)
    padded[:, :, total // 2 : total // 2 + size, total // 2 : total // 2 + size] = x
    return F.conv2d(padded, weight, bias, stride)


def simple_cnn(parameters: Sequence[Tensor], images: Tensor) -> Tensor:
    w1, b1, w2, b2, w3, b3 = parameters
    x = F.max_pool2d(torch.relu(F.conv2d(images, w1, b1)), 2)
    x = F.max_pool2d(torch.relu(F.conv2d(x, w2, b2)), 2)
    return x.reshape(len(x), -1) @ w3.T + b3


def simple_cnn_shallue(parameters: Sequence[Tensor], images: Tensor) -> Tensor:
    w1, b1, w2, b2, w3, b3, w4, b4 = parameters
    x = F.max_pool2d(torch.relu(F.conv2d(images, w1, b1, padding=2)), 2)
    x = F.max_pool2d(torch.relu(F.conv2d(x, w2, b2, padding=2)), 2)
    return torch.relu(x.reshape(len(x), -1) @ w3.T + b3) @ w4.T + b4


def resnet8(parameters: Sequence[Tensor], images: Tensor) -> Tensor:
    w, b = parameters[:2]
    x = F.conv2d(images, w, b, padding=1)
    for block, stride in enumerate((1, 2, 2)):
        w1, b1, w2, b2 = parameters[2 + 4 * block : 6 + 4 * block]
        active = torch.relu(x)
        residual = tensorflow_conv(torch.relu(tensorflow_conv(active, w1, b1, stride)), w2, b2)
        if stride == 2:
            means = (active[:, :, ::2, ::2] + active[:, :, 1::2, ::2] + active[:, :, ::2, 1::2]) / 4
            means = means + active[:, :, 1::2, 1::2] / 4
            x = torch.cat([means, torch.zeros_like(means)], 1)
        x = x + residual
    return torch.relu(x).mean((2, 3)) @ parameters[-2].T + parameters[-1]


def mlp(parameters: Sequence[Tensor], images: Tensor) -> Tensor:
    w1, b1, w2, b2, w3, b3 = parameters
    x = torch.relu(images.reshape(len(images), -1) @ w1.T + b1)
    return torch.relu(x @ w2.T + b2) @ w3.T + b3


def small(parameters: Sequence[Tensor], images: Tensor) -> Tensor:
    """Asymmetric padding, stride, two dense layers: all that a stack has to get right, on images of 6x6 pixels."""
    w1, b1, w2, b2, w3, b3 = parameters
    x = torch.relu(tensorflow_conv(images, w1, b1, stride=2))
    return torch.relu(x.reshape(len(x), -1) @ w2.T + b2) @ w3.T + b3


def gradients(
    network: Network, weights: Mapping[str, Tensor], row: int, images: Tensor, labels: Tensor
) -> list[Tensor]:
    """The gradient of the mean loss of one row of weights (S, ...), parameter by parameter."""
    leaves = [values[row].clone().requires_grad_() for values in weights.values()]
    F.cross_entropy(network(leaves, images), labels).backward()
    found = []
    for leaf in leaves:
        assert leaf.grad is not None
        found.append(leaf.grad)
    return found


def train(
    network: Network,
    parameters: Sequence[Tensor],
    batches: Sequence[tuple[Tensor, Tensor]],
    masks: Sequence[Tensor] | None = None,
    **options: Any,
) -> Iterator[list[Tensor]]:
    """Train one trial by torch's own SGD, and yield its parameters after each step; a mask acts in the forward pass."""
    leaves = [values.clone().requires_grad_() for values in parameters]
    optimizer = torch.optim.SGD(leaves, **options)
    for images, labels in batches:
        used = leaves if masks is None else [leaf * mask for leaf, mask in zip(leaves, masks, strict=True)]
        optimizer.zero_grad()
        F.cross_entropy(network(used, images), labels).backward()
        optimizer.step()
        yield [leaf.detach().clone() for leaf in leaves]
