"""Local Lipschitz smoothness of the training loss along a step (Lee et al., arXiv:2003.11316, Appendix C).

Shapes: S trials; weights, gradients and masks are dictionaries by parameter name of stacks (S, ...).
"""

from collections.abc import Callable

import torch
from torch import Tensor

from dps.models import Weights
from dps.models.gradients import squared_norms, survivors_and_all
from dps.models.passes import Progress

TENTHS = range(1, 11)  # gamma in {0.1, ..., 1.0}


def smoothness(
    gradients: Callable[[Weights], Weights], start: Weights, end: Weights, masks: Weights, progress: Progress = iter
) -> tuple[Tensor, Tensor]:
    """The local Lipschitz constant of the gradient between w_k = `start` and w_{k+1} = `end`, two of float64 (S,).

    With d = w_{k+1} - w_k: max over gamma in {0.1, ..., 1.0} of |grad f(w_k + gamma d) - grad f(w_k)| / |gamma d|
    (equation 7), of the gradient over the weights that survive and of that over all weights. `gradients` is grad f over
    all of them; it is called 11 times. NaN where a trial did not move, or anything is not finite.
    """
    direction = {name: end[name] - start[name] for name in start}
    length = squared_norms(direction).sqrt()
    here = gradients(start)
    largest = torch.zeros_like(length).repeat(2, 1)
    for tenth in progress(TENTHS):
        gamma = tenth / 10
        there = gradients({name: start[name] + gamma * direction[name] for name in start})
        change = {name: there[name] - here[name] for name in here}
        largest = torch.maximum(largest, survivors_and_all(change, masks).sqrt() / (gamma * length))
    survivors, everything = torch.where(largest.isfinite(), largest, torch.nan)
    return survivors, everything
