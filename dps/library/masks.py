"""Pruning any torch module as it is, by the criteria of the studies.

Shapes: N examples, C classes.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from hydra.utils import instantiate
from omegaconf import OmegaConf
from torch import Tensor, enable_grad, nn
from torch.func import functional_call

from dps.models import Weights
from dps.models.stacked import constant
from dps.protocol.values import require
from dps.pruning import Unpruned, kept_parameters, refusal
from dps.pruning import masks as masks_of

CRITERIA = Path(__file__).parents[2] / "conf" / "pruning"
Criterion = Callable[[Unpruned], Weights]


def masks(
    module: nn.Module,
    inputs: Tensor,
    labels: Tensor,
    sparsity: float,
    criterion: str | Criterion = "snip",
    seed: int = 0,
) -> dict[str, Tensor]:
    """What a criterion keeps of a module: for each trained parameter, by name, a bool mask of its own shape.

    Exactly round(P * (1 - sparsity)) of the P numbers in these parameters, over all of them, are kept. `inputs`
    (N, ...) and `labels` (N,) are the examples that scores are computed on, on the module's device, and its outputs are
    logits (N, C).
    `criterion` is a name that `pruning=` takes, or a function as docs/extending.md describes; `seed` is for "random".

    The module stays as it is, in its weights, buffers and gradients, and is run in the mode that it is in: call
    `module.eval()` before, unless batch normalisation is to take its statistics from the examples of a pass, of which
    there are 256 on a CPU and 4,096 on a GPU.

    ValueError where the sparsity lies outside [0, 1) or keeps nothing, the criterion is unknown, the labels are not
    those of the inputs, or a score is not finite.
    """
    weights = {name: p.detach().clone()[None] for name, p in module.named_parameters() if p.requires_grad}
    parameters = sum(values.numel() for values in weights.values())
    require(parameters > 0, "module", type(module).__name__, "one with parameters that are trained")
    right = 0 <= sparsity < 1 and kept_parameters(parameters, sparsity) > 0
    require(right, "sparsity", sparsity, f"from 0 to below 1, and keep one of {parameters} parameters")
    right = labels.ndim == 1 and len(labels) == len(inputs) > 0
    require(right, "labels", tuple(labels.shape), f"({len(inputs)},), a label for each of the inputs")
    whole = not (labels.is_floating_point() or labels.is_complex())
    require(whole, "labels", labels.dtype, "numbers of classes, as torch.int64")
    chosen = _of_name(criterion) if isinstance(criterion, str) else criterion
    with enable_grad():
        scores = chosen(Unpruned(_AsItIs(module), weights, inputs, labels.long(), seed, sparsity))
    if why := refusal(scores, weights):
        raise ValueError(f"criterion: {why}")
    return {name: kept[0] for name, kept in masks_of(scores, sparsity).items()}


class _AsItIs:
    """A module, in place of a stack of one."""

    def __init__(self, module: nn.Module):
        self._module = module

    def logits(self, weights: Weights, images: Tensor) -> Tensor:
        """(1, B, C) logits with these weights (1, ...), in the precision of the images.

        A buffer that the module changes is a copy, and so is a parameter that is not trained.
        """
        fixed = [
            *self._module.named_buffers(),
            *((n, p) for n, p in self._module.named_parameters() if n not in weights),
        ]
        others = {name: constant(values.detach(), images).clone() for name, values in fixed}
        own = {name: values[0] for name, values in weights.items()}
        logits: Tensor = functional_call(self._module, {**own, **others}, (images,))
        return logits[None]


def _of_name(name: str) -> Criterion:
    there = {file.stem: file for file in CRITERIA.glob("*.yaml")}
    require(name in there, "criterion", name, f"one of {', '.join(sorted(there))}, or a function")
    chosen: Any = OmegaConf.create(there[name].read_text())
    made: Criterion = instantiate(chosen.criterion, _partial_=True)
    return made
