"""Pruning at initialisation: a score for every parameter, one global ranking, and an exact number kept.

A criterion is a function (model, weights, images, labels, seed, progress) -> scores, one for each parameter. Weights,
scores and masks are dictionaries by parameter name of stacks of one trial (1, ...).

Shapes: P parameters of one model (weights and biases), N training examples.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call

from dps.models.gradients import EXAMPLES_PER_PASS, Progress, Weights, mean_gradients
from dps.models.loss import mean_losses


def snip(
    model: nn.Module,
    weights: Weights,
    images: Tensor,
    labels: Tensor,
    seed: int,
    progress: Progress = iter,
    examples_per_pass: int | None = None,
) -> Weights:
    """SNIP (Lee et al. 2019): connection sensitivity |w * dL/dw|, L the mean loss over the N training examples.

    The gradients of batches of `examples_per_pass` are added up in float64, and the absolute value is taken once, at
    the end: any size gives the same sum.
    """
    gradients = mean_gradients(model, weights, images, labels, progress, examples_per_pass)
    return {name: (gradients[name] * weights[name]).abs() for name in weights}


def grasp(
    model: nn.Module,
    weights: Weights,
    images: Tensor,
    labels: Tensor,
    seed: int,
    progress: Progress = iter,
    temperature: float = 1.0,
    examples_per_pass: int | None = None,
) -> Weights:
    """GraSP (Wang, Zhang, Grosse 2020, arXiv:2002.07376): w * Hg, g and H of the mean loss over N training examples.

    To first order, the removal of a weight changes the squared norm of the gradient by -2 w (Hg) (their section 4).
    They score -w * Hg and remove the highest; the scores here have the other sign, and the highest are kept. They
    estimate g and H on a class-balanced sample with the logits divided by 200; here the sample is the training set,
    and the logits are divided by `temperature`, which alters the ranking.

    Scores have either sign: biases, which start at zero, score 0 and rank between weights of positive and of negative
    score. ValueError unless the temperature is positive.
    """
    if not temperature > 0:
        raise ValueError(f"pruning.criterion.temperature={temperature} must be a positive number")
    leaves = {name: values.detach().requires_grad_() for name, values in weights.items()}
    size = examples_per_pass or EXAMPLES_PER_PASS[images.device.type]

    def gradients() -> Iterator[Sequence[Tensor]]:
        for first in progress(range(0, len(labels), size)):
            some = slice(first, first + size)
            logits = functional_call(model, leaves, (images[some],)) / temperature
            loss = mean_losses(logits, labels[some]).sum() * (len(labels[some]) / len(labels))
            yield torch.autograd.grad(loss, list(leaves.values()), create_graph=True)

    mean = product = [torch.zeros_like(w, dtype=torch.float64) for w in leaves.values()]
    for parts in gradients():
        mean = [total + part.detach() for total, part in zip(mean, parts, strict=True)]
    for parts in gradients():
        inner = torch.stack([(part * total.to(part)).sum() for total, part in zip(mean, parts, strict=True)]).sum()
        products = torch.autograd.grad(inner, list(leaves.values()))
        product = [total + part for total, part in zip(product, products, strict=True)]
    return {name: total * weights[name] for name, total in zip(leaves, product, strict=True)}


def synflow(
    model: nn.Module,
    weights: Weights,
    images: Tensor,
    labels: Tensor,
    seed: int,
    sparsity: float,
    progress: Progress = iter,
    rounds: int = 100,
) -> Weights:
    """SynFlow (Tanaka et al. 2020, arXiv:2006.05467, algorithm 1): |w| dR/d|w| in the last of `rounds` rounds.

    R is the sum of the outputs of the network with weights |w| for one image of ones: no data take part. Round k keeps
    the fraction (1 - sparsity)^(k / rounds) of highest scores, and what it prunes scores -1 from then on; the last
    round is the caller's, which keeps 1 - sparsity. Everything is worked in float64, for R is a product over layers.

    Biases start at zero, score 0 and go before every weight that lies on a path from image to output.
    ValueError where there is no round.
    """
    if rounds < 1:
        raise ValueError(f"pruning.criterion.rounds={rounds} must be a positive integer")
    sizes = {name: values.detach().abs().double() for name, values in weights.items()}
    kept = {name: torch.ones_like(values, dtype=torch.bool) for name, values in sizes.items()}
    ones = torch.ones_like(images[:1], dtype=torch.float64)
    scores: Weights = {}
    for k in progress(range(1, rounds + 1)):
        leaves = {name: (values * kept[name]).requires_grad_() for name, values in sizes.items()}
        flow = functional_call(model, leaves, (ones,)).sum()
        slopes = torch.autograd.grad(flow, list(leaves.values()))
        flows = {name: leaf.detach() * slope for (name, leaf), slope in zip(leaves.items(), slopes, strict=True)}
        scores = {name: values.where(kept[name], -1.0) for name, values in flows.items()}
        kept = masks(scores, 1 - (1 - sparsity) ** (k / rounds))
    return scores


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
