"""SynFlow (Tanaka et al. 2020, arXiv:2006.05467)."""

import math

import torch

from dps.models import Weights
from dps.protocol.kinds import Positive
from dps.protocol.values import require
from dps.pruning.masks import masks
from dps.pruning.unpruned import Unpruned


def synflow(trial: Unpruned, rounds: Positive = 100) -> Weights:
    """|w| dR/d|w| in the last of `rounds` rounds (their algorithm 1).

    R is the sum of the outputs of the network with weights |w| for one image of ones: no data take part. Round k keeps
    the fraction (1 - sparsity)^(k / rounds) of highest scores, and what it prunes scores -1 from then on; the last
    round is the caller's, which keeps 1 - sparsity. Everything is worked in float64, for R is a product over layers.

    Biases start at zero, score 0 and go before every weight that lies on a path from image to output. ValueError where
    the scores are to be kept for all sparsities.
    """
    require(
        not math.isnan(trial.sparsity), "pruning.cached", True, "false: the rounds of SynFlow depend on the sparsity"
    )
    sizes = {name: values.detach().abs().double() for name, values in trial.weights.items()}
    kept = {name: torch.ones_like(values, dtype=torch.bool) for name, values in sizes.items()}
    ones = torch.ones_like(trial.images[:1], dtype=torch.float64)
    scores: Weights = {}
    for k in trial.progress(range(1, rounds + 1)):
        leaves = {name: (values * kept[name]).requires_grad_() for name, values in sizes.items()}
        flow = trial.model.logits(leaves, ones).sum()
        slopes = torch.autograd.grad(flow, list(leaves.values()), materialize_grads=True)
        flows = {name: leaf.detach() * slope for (name, leaf), slope in zip(leaves.items(), slopes, strict=True)}
        scores = {name: values.where(kept[name], -1.0) for name, values in flows.items()}
        kept = masks(scores, 1 - (1 - trial.sparsity) ** (k / rounds))
    return scores
