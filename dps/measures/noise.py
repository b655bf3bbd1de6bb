"""How much the gradients of single training examples differ from their mean.

Shapes: S = 1 trial, N training examples; weights and masks are dictionaries by parameter name of stacks (1, ...).
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from dps.models import StackedModel, Weights
from dps.models.gradients import example_gradients, survivors_and_all
from dps.models.passes import Progress, passes

EXAMPLES_PER_PASS = {"cpu": 16, "cuda": 256}  # each holds a gradient of its own


@dataclass(frozen=True)
class GradientNoise:
    """Moments of the per-example gradient g_i over all N examples, with G their mean.

    gradient_variance is tr(Sigma) = mean_i |g_i|^2 - |G|^2, the variance of the stochastic gradient at batch size 1:
    beta of Lee et al. (arXiv:2003.11316, Proposition 3.1). gradient_squared_norm is |G|^2. noise_scale is tr(Sigma) /
    |G|^2 in examples, the simple noise scale of McCandlish et al. 2018 (arXiv:1812.06162, equation 2.9). All are of the
    weights that survive; gradient_variance_all_weights is tr(Sigma) with the gradients of pruned weights as well.
    """

    gradient_variance: float
    gradient_squared_norm: float
    gradient_variance_all_weights: float

    @property
    def noise_scale(self) -> float:
        """tr(Sigma) / |G|^2, in examples; NaN where G is zero."""
        return self.gradient_variance / self.gradient_squared_norm if self.gradient_squared_norm else math.nan


def gradient_noise(
    model: StackedModel,
    weights: Weights,
    images: Tensor,
    labels: Tensor,
    masks: Weights,
    progress: Progress = iter,
) -> GradientNoise:
    """The noise of one trial's gradient over images (N, C, H, W) and labels (N,).

    The N examples are the whole population that batches are drawn from, not a sample of it, so the moments are exact
    and need no correction for bias.
    """
    size = EXAMPLES_PER_PASS[images.device.type]
    total = {name: torch.zeros_like(values, dtype=torch.float64) for name, values in weights.items()}
    squares = torch.zeros(2, dtype=torch.float64, device=images.device)
    for some in passes(images, labels, progress, size):
        gradients = example_gradients(model, weights, *some)
        squares += survivors_and_all(gradients, masks).sum(1)
        for name, values in gradients.items():
            total[name] += values.sum(0, keepdim=True)
    mean = {name: values / len(labels) for name, values in total.items()}
    squared_norm, squared_norm_all = survivors_and_all(mean, masks)[:, 0].tolist()
    mean_squared, mean_squared_all = (squares / len(labels)).tolist()
    return GradientNoise(mean_squared - squared_norm, squared_norm, mean_squared_all - squared_norm_all)
