"""The loss that trials are trained by.

Shapes: S models in a stack, B batch, C classes.
"""

import torch.nn.functional as F
from torch import Tensor


def mean_losses(logits: Tensor, labels: Tensor) -> Tensor:
    """(S,) cross-entropy of logits (S, B, C), averaged over the batch."""
    stack, batch, classes = logits.shape
    of_each = labels.expand(stack, -1).reshape(-1)
    losses = F.cross_entropy(logits.reshape(stack * batch, classes), of_each, reduction="none")
    return losses.view(stack, batch).mean(1)
