"""Pruning at initialisation: a score for every parameter, one global ranking, and an exact number kept.

A criterion is a function (model, weights, images, labels, seed, progress) -> scores, one for each parameter. Weights,
scores and masks are dictionaries by parameter name of stacks of one trial (1, ...).

Shapes: P parameters of one model (weights and biases), N training examples.
"""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn
from torch.func import functional_call

from dps.trials import mean_losses

Progress = Callable[[Iterable[int]], Iterable[int]]
Weights = dict[str, Tensor]


def snip(
    model: nn.Module,
    weights: Weights,
    images: Tensor,
    labels: Tensor,
    seed: int,
    progress: Progress = iter,
    examples_per_pass: int = 256,
) -> Weights:
    """SNIP (Lee et al. 2019): connection sensitivity |w * dL/dw|, L the mean loss over the N training examples.

    The gradients of batches of `examples_per_pass` are added up in float64, and the absolute value is taken once, at
    the end: any size gives the same sum.
    """
    leaves = {name: values.detach().requires_grad_() for name, values in weights.items()}
    total = {name: torch.zeros_like(values, dtype=torch.float64) for name, values in weights.items()}
    for first in progress(range(0, len(labels), examples_per_pass)):
        some = slice(first, first + examples_per_pass)
        logits = functional_call(model, leaves, (images[some],))
        loss = mean_losses(logits, labels[some]).sum() * (len(labels[some]) / len(labels))
        for name, gradient in zip(leaves, torch.autograd.grad(loss, list(leaves.values())), strict=True):
            total[name] += gradient
    return {name: (total[name] * weights[name]).abs() for name in weights}


def magnitude(
    model: nn.Module, weights: Weights, images: Tensor, labels: Tensor, seed: int, progress: Progress = iter
) -> Weights:
    """|w| at initialisation (Han et al. 2015 prune by it after training)."""
    return {name: values.abs() for name, values in weights.items()}


def random(
    model: nn.Module, weights: Weights, images: Tensor, labels: Tensor, seed: int, progress: Progress = iter
) -> Weights:
    """Uniform noise, a function of the seed."""
    generator = torch.Generator().manual_seed(seed)
    return {
        name: torch.rand(values.shape, dtype=torch.float64, generator=generator).to(values.device)
        for name, values in weights.items()
    }


def kept_parameters(parameters: int, sparsity: float) -> int:
    """How many of P parameters survive at a sparsity in [0, 1): round(P * (1 - sparsity))."""
    return round(parameters * (1 - sparsity))


def masks(scores: Weights, sparsity: float) -> Weights:
    """Masks of 0 and 1 that keep exactly the round(P * (1 - sparsity)) highest scores over all parameters.

    Of equal scores the first survive, in the order of the model's parameters.
    """
    flat = torch.cat([stacked.flatten(1) for stacked in scores.values()], 1)
    order = flat.argsort(dim=1, descending=True, stable=True)
    kept = torch.zeros_like(flat, dtype=torch.bool)
    kept.scatter_(1, order[:, : kept_parameters(flat.shape[1], sparsity)], True)
    parts = kept.split([stacked[0].numel() for stacked in scores.values()], 1)
    return {name: part.view(scores[name].shape) for name, part in zip(scores, parts, strict=True)}


def emptied_layers(kept: Weights) -> list[str]:
    """The layers, of the first trial in `kept` (S, ...), none of whose weights survives."""
    return [name.removesuffix(".weight") for name, mask in kept.items() if mask.ndim > 2 and not mask[0].any()]
