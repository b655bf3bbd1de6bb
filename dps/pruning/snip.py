"""SNIP (Lee, Ajanthan, Torr 2019, arXiv:1810.02340)."""

from dps.models import Weights
from dps.models.gradients import mean_gradients
from dps.protocol.kinds import Positive
from dps.pruning.unpruned import Unpruned


def snip(trial: Unpruned, examples_per_pass: Positive | None = None) -> Weights:
    """Connection sensitivity |w * dL/dw|, L the mean loss over the N training examples.

    The gradients of batches of `examples_per_pass` are added up in float64, and the absolute value is taken once, at
    the end: any size gives the same sum.
    """
    weights, data = trial.weights, (trial.images, trial.labels)
    gradients = mean_gradients(trial.model, weights, *data, trial.progress, examples_per_pass)
    return {name: (gradients[name] * weights[name]).abs() for name in weights}
