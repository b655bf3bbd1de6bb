"""From scores to masks: one global ranking over all weights and biases, and an exact number kept.

Shapes: P parameters of one model (weights and biases). Scores and masks are dictionaries by parameter name of stacks of
one trial (1, ...).
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from dps.models import Weights


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


def refusal(scores: object, weights: Weights) -> str:
    """Why the weights cannot be ranked by these scores; nothing where each has a finite one."""
    if not isinstance(scores, Mapping):
        return f"it gives a {type(scores).__name__}, where scores by parameter name are expected"
    if scores.keys() != weights.keys():
        return f"it gives scores of {', '.join(map(str, scores))}, where the parameters are {', '.join(weights)}"
    for name, one in scores.items():
        shape = list(weights[name].shape)
        if not isinstance(one, Tensor):
            return f"the scores of {name} are a {type(one).__name__}, where a tensor is expected"
        if list(one.shape) != shape or not one.is_floating_point():
            return f"the scores of {name} are {one.dtype} of the shape {list(one.shape)}, not floats of {shape}"
        if not bool(one.isfinite().all()):
            return f"the scores of {name} are not all finite"
    return ""


def emptied_layers(kept: Weights) -> list[str]:
    """The layers, of the first trial in `kept` (S, ...), none of whose weights survives."""
    return [name.removesuffix(".weight") for name, mask in kept.items() if mask.ndim > 2 and not mask[0].any()]
