"""Measures the noise of every trial's gradient."""

from callbacks.measure import AtSteps, check_interval
from dps.engine.module import StudyTask
from dps.measures.noise import gradient_noise
from dps.models import Weights
from dps.models.passes import Progress
from dps.storage.measurements import NOISE


class Noise(AtSteps):
    """Measures the gradient's noise before the first step and every `interval_steps` steps; null: only before.

    Each trial costs the gradient of every training example alone.
    """

    kind = NOISE

    def __init__(self, interval_steps: int | None):
        check_interval("callbacks.noise.interval_steps", interval_steps, ", or null for step 0 alone")
        super().__init__(interval_steps)

    def values(self, task: StudyTask, weights: Weights, masks: Weights, progress: Progress) -> dict[str, float]:
        """The moments of the gradient over the training set."""
        data = (task.data.train_images, task.data.train_labels)
        found = gradient_noise(task.stack.model, weights, *data, masks, progress)
        return vars(found) | {"noise_scale": found.noise_scale}
