"""The loss that trials are trained by.

Shapes: S models in a stack, B batch, C classes.
"""

import torch.nn.functional as F
from torch import Tensor


def mean_losses(logits: Tensor, labels: Tensor, label_smoothing: Tensor | None = None) -> Tensor:
    """(S,) cross-entropy of logits (S, B, C), averaged over the batch.

    With label_smoothing s (S,), in [0, 1], a label is its class with weight 1 - s and all C classes with weight s / C.
    """
    stack, batch, classes = logits.shape
    of_each = labels.expand(stack, -1).reshape(-1)
    if label_smoothing is None:
        losses = F.cross_entropy(logits.reshape(stack * batch, classes), of_each, reduction="none")
        return losses.view(stack, batch).mean(1)
    logs = F.log_softmax(logits, 2)
    of_labels = F.nll_loss(logs.reshape(stack * batch, classes), of_each, reduction="none").view(stack, batch)
    own, every = (one.to(logs.dtype)[:, None] for one in (1 - label_smoothing, label_smoothing / classes))
    return (own * of_labels - every * logs.sum(2)).mean(1)
