"""Chance, a baseline."""

import torch

from dps.models import Weights
from dps.pruning.unpruned import Unpruned


def random(trial: Unpruned) -> Weights:
    """Uniform noise, a function of the trial's seed."""
    generator = torch.Generator().manual_seed(trial.seed)
    return {
        name: torch.rand(values.shape, dtype=torch.float64, generator=generator).to(values.device)
        for name, values in trial.weights.items()
    }
