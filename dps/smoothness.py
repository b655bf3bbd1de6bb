"""Local Lipschitz smoothness of the training loss along a step (Lee et al., arXiv:2003.11316, Appendix C).

Shapes: S trials; weights and gradients are dictionaries by parameter name of stacks (S, ...).
"""

from collections.abc import Callable

import torch
from torch import Tensor

from dps.gradients import Progress, Weights, squared_norms

TENTHS = range(1, 11)  # gamma in {0.1, ..., 1.0}


def smoothness(
    gradients: Callable[[Weights], Weights], start: Weights, end: Weights, progress: Progress = iter
) -> Tensor:
    """The local Lipschitz constant of the gradient between w_k = `start` and w_{k+1} = `end`, float64 (S,).

    With d = w_{k+1} - w_k: max over gamma in {0.1, ..., 1.0} of |grad f(w_k + gamma d) - grad f(w_k)| / |gamma d|
    (equation 7). `gradients` is grad f; it is called 11 times. NaN where a trial did not move, or anything is not
    finite.
    """
    direction = {name: end[name] - start[name] for name in start}
    length = squared_norms(direction).sqrt()
    here = gradients(start)
    largest = torch.zeros_like(length)
    for tenth in progress(TENTHS):
        gamma = tenth / 10
        there = gradients({name: start[name] + gamma * direction[name] for name in start})
        change = squared_norms({name: there[name] - here[name] for name in here}).sqrt()
        largest = torch.maximum(largest, change / (gamma * length))
    return torch.where(largest.isfinite(), largest, torch.nan)
