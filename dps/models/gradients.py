"""Gradients of trials over the training set, computed beside training: neither weights nor their .grad change.

A pruned weight is a zero like any other here, and has a gradient; the squared norms are without and with it.

Shapes: S trials, N training examples, B examples of one pass, C channels, H height, W width. Weights, gradients and
masks are dictionaries by parameter name of stacks (S, ...); masks hold 0 and 1, and are empty where trials are dense.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from dps.models.loss import mean_losses
from dps.models.passes import Progress, passes
from dps.models.stacked import Network, StackedModel, Weights


def mean_gradients(
    model: Network,
    weights: Weights,
    images: Tensor,
    labels: Tensor,
    progress: Progress = iter,
    examples_per_pass: int | None = None,
) -> Weights:
    """The gradient of each trial's mean loss over images (N, C, H, W) and labels (N,), float64 (S, ...).

    The gradients of passes of `examples_per_pass` (None: what suits the device) are added up in float64, so that any
    size gives the same sum.
    """
    leaves = {name: values.detach().requires_grad_() for name, values in weights.items()}
    total = {name: torch.zeros_like(values, dtype=torch.float64) for name, values in weights.items()}
    for some_images, some_labels in passes(images, labels, progress, examples_per_pass):
        losses = mean_losses(model.logits(leaves, some_images), some_labels)
        loss = losses.sum() * (len(some_labels) / len(labels))
        gradients = torch.autograd.grad(loss, list(leaves.values()), materialize_grads=True)
        for name, gradient in zip(leaves, gradients, strict=True):
            total[name] += gradient
    return total


def example_gradients(model: StackedModel, weights: Weights, images: Tensor, labels: Tensor) -> Weights:
    """The gradient of one trial (S = 1) on each of B examples alone, (B, ...): it is copied into a stack of B."""
    copies = {name: w.detach().expand(len(labels), *w.shape[1:]).requires_grad_() for name, w in weights.items()}
    loss = F.cross_entropy(model.logits_one_each(copies, images), labels, reduction="sum")
    return dict(zip(copies, torch.autograd.grad(loss, list(copies.values()), materialize_grads=True), strict=True))


def squared_norms(vectors: Weights) -> Tensor:
    """The squared Euclidean norm of each row's vector, over all parameters: float64 (S,)."""
    return torch.stack([values.flatten(1).double().square().sum(1) for values in vectors.values()]).sum(0)


def survivors_and_all(vectors: Weights, masks: Weights) -> Tensor:
    """The squared norm of each row's vector over the weights that survive, and over all: float64 (2, S).

    Of a gradient, that over all is less exact: patches that differ under pruned weights alone tie in max-pooling, and
    rounding decides which of them gives the pruned weights their gradient.
    """
    everything = squared_norms(vectors)
    if not masks:
        return torch.stack([everything, everything])
    return torch.stack([squared_norms({name: values * masks[name] for name, values in vectors.items()}), everything])
