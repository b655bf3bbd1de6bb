"""Loss and error over an entire data set.

Shapes: S trials, N examples; weights are dictionaries by parameter name of stacks (S, ...).
"""

import torch
from torch import Tensor, nn
from torch.func import functional_call

from dps.models.gradients import EXAMPLES_PER_PASS, Progress, Weights
from dps.models.loss import mean_losses


@torch.no_grad()
def loss_and_error(
    model: nn.Module,
    weights: Weights,
    images: Tensor,
    labels: Tensor,
    progress: Progress = iter,
    examples_per_pass: int | None = None,
) -> tuple[Tensor, Tensor]:
    """Each trial's mean cross-entropy and the fraction it gets wrong of images (N, C, H, W): float64 (S,) each.

    The fraction is NaN where the loss is not finite.
    """
    stack = len(next(iter(weights.values())))
    loss, wrong = torch.zeros(2, stack, dtype=torch.float64, device=images.device)
    size = examples_per_pass or EXAMPLES_PER_PASS[images.device.type]
    for first in progress(range(0, len(labels), size)):
        some = slice(first, first + size)
        logits = functional_call(model, weights, (images[some],))
        loss += mean_losses(logits, labels[some]).double() * len(labels[some])
        wrong += (logits.argmax(2) != labels[some]).sum(1)
    error = wrong / len(labels)
    return loss / len(labels), error.where(loss.isfinite(), torch.nan)
