"""Measures every trial's loss and error over the entire training and validation set."""

from callbacks.measure import AtSteps
from dps.engine.module import StudyTask
from dps.measures.loss import loss_and_error
from dps.models import Weights
from dps.models.passes import Progress
from dps.protocol.kinds import Positive
from dps.storage.measurements import CURVES


class Curves(AtSteps):
    """Measures loss and error before the first step and every `interval_steps` steps."""

    kind = CURVES

    def __init__(self, interval_steps: Positive):
        super().__init__(interval_steps)

    def values(self, task: StudyTask, weights: Weights, masks: Weights, progress: Progress) -> dict[str, float]:
        """Loss and error on both sets."""
        data = task.data
        sets = {
            "train": (data.train_images, data.train_labels),
            "validation": (data.validation_images, data.validation_labels),
        }
        found: dict[str, float] = {}
        for name, (images, labels) in sets.items():
            loss, error = loss_and_error(task.stack.model, weights, images, labels, progress)
            found |= {f"{name}_loss": float(loss), f"{name}_error": float(error)}
        return found
