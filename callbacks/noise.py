"""Measures the noise of every trial's gradient."""

from typing import Annotated

from pydantic import Field

from callbacks.measure import AtSteps
from dps.engine.module import StudyTask
from dps.measures.noise import gradient_noise
from dps.models import Weights
from dps.models.passes import Progress
from dps.protocol.kinds import LARGEST
from dps.storage.measurements import NOISE

PositiveOrOnce = Annotated[
    int | None, Field(gt=0, le=LARGEST, description="a positive integer, or null for step 0 alone")
]


class Noise(AtSteps):
    """Measures the gradient's noise before the first step and every `interval_steps` steps; null: only before.

    Each trial costs the gradient of every training example alone.
    """

    kind = NOISE

    def __init__(self, interval_steps: PositiveOrOnce):
        super().__init__(interval_steps)

    def values(self, task: StudyTask, weights: Weights, masks: Weights, progress: Progress) -> dict[str, float]:
        """The moments of the gradient over the training set."""
        data = (task.data.train_images, task.data.train_labels)
        found = gradient_noise(task.stack.model, weights, *data, masks, progress)
        return vars(found) | {"noise_scale": found.noise_scale}
