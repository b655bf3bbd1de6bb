"""GraSP (Wang, Zhang, Grosse 2020, arXiv:2002.07376)."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from dps.models import Weights
from dps.models.loss import mean_losses
from dps.models.passes import passes
from dps.protocol.kinds import Positive, PositiveNumber
from dps.pruning.unpruned import Unpruned


def grasp(trial: Unpruned, temperature: PositiveNumber = 1.0, examples_per_pass: Positive | None = None) -> Weights:
    """w * Hg, g and H the gradient and the Hessian of the mean loss over the N training examples.

    To first order, the removal of a weight changes the squared norm of the gradient by -2 w (Hg) (their section 4).
    They score -w * Hg and remove the highest; the scores here have the other sign, and the highest are kept. They
    estimate g and H on a class-balanced sample with the logits divided by 200; here the sample is the training set,
    and the logits are divided by `temperature`, which alters the ranking.

    Scores have either sign: biases, which start at zero, score 0 and rank between weights of positive and of negative
    score.
    """
    leaves = {name: values.detach().requires_grad_() for name, values in trial.weights.items()}

    def gradients() -> Iterator[Sequence[Tensor]]:
        for images, labels in passes(trial.images, trial.labels, trial.progress, examples_per_pass):
            logits = trial.model.logits(leaves, images) / temperature
            loss = mean_losses(logits, labels).sum() * (len(labels) / len(trial.labels))
            yield torch.autograd.grad(loss, list(leaves.values()), create_graph=True, materialize_grads=True)

    mean = product = [torch.zeros_like(w, dtype=torch.float64) for w in leaves.values()]
    for parts in gradients():
        mean = [total + part.detach() for total, part in zip(mean, parts, strict=True)]
    for parts in gradients():
        inner = torch.stack([(part * total.to(part)).sum() for total, part in zip(mean, parts, strict=True)]).sum()
        products = torch.autograd.grad(inner, list(leaves.values()), materialize_grads=True)
        product = [total + part for total, part in zip(product, products, strict=True)]
    return {name: total * trial.weights[name] for name, total in zip(leaves, product, strict=True)}
