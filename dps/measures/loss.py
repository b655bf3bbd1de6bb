"""Loss and error over an entire data set.

Shapes: S trials, N examples; weights are dictionaries by parameter name of stacks (S, ...).
"""

import torch
from torch import Tensor

from dps.models import StackedModel, Weights
from dps.models.loss import mean_losses
from dps.models.passes import Progress, passes


@torch.no_grad()
def loss_and_error(
    model: StackedModel,
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
    for some_images, some_labels in passes(images, labels, progress, examples_per_pass):
        logits = model.logits(weights, some_images)
        loss += mean_losses(logits, some_labels).double() * len(some_labels)
        wrong += (logits.argmax(2) != some_labels).sum(1)
    error = wrong / len(labels)
    return loss / len(labels), error.where(loss.isfinite(), torch.nan)
