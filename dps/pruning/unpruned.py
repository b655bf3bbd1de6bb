"""A trial before it is pruned: all that a criterion may look at."""

from dataclasses import dataclass

from torch import Tensor

from dps.models import Network, Weights
from dps.models.passes import Progress


@dataclass(frozen=True)
class Unpruned:
    """One trial at initialisation, with its training set.

    `weights` are by parameter name a stack of one (1, ...), which `model` runs; `images` (N, C, H, W) and `labels` (N,)
    are the N training examples; `seed` is the trial's; `sparsity`, in [0, 1), is what it will be pruned to, or NaN for
    a criterion whose scores are kept for all sparsities; `progress` goes through the numbers of the passes over the
    data, or of the rounds, and says which it is at.
    """

    model: Network
    weights: Weights
    images: Tensor
    labels: Tensor
    seed: int
    sparsity: float
    progress: Progress = iter
