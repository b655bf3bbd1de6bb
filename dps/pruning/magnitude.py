"""Magnitude, a baseline: the smallest initial weights go (Han et al. 2015 prune by it after training)."""

from dps.models import Weights
from dps.pruning.unpruned import Unpruned


def magnitude(trial: Unpruned) -> Weights:
    """|w| at initialisation."""
    return {name: values.abs() for name, values in trial.weights.items()}
