"""Measures every trial's loss and error over the entire training and validation set."""

from typing import Any

import pytorch_lightning as pl
from pytorch_lightning import Callback

from callbacks.measure import check_interval, measure
from dps.engine.module import StudyTask
from dps.measures.loss import loss_and_error
from dps.models import Weights
from dps.models.passes import Progress
from dps.storage.measurements import CURVES


class Curves(Callback):
    """Measures loss and error before the first step and every `interval_steps` steps.

    Before the callback that ends trials, it measures those that end too.
    """

    def __init__(self, interval_steps: int):
        check_interval("callbacks.curves.interval_steps", interval_steps)
        self.interval_steps = interval_steps

    def on_train_batch_start(self, trainer: pl.Trainer, task: StudyTask, *_: Any) -> None:  # type: ignore[override]
        """Measure before the first step."""
        if trainer.global_step == 0:
            self._measure(trainer, task)

    def on_train_batch_end(self, trainer: pl.Trainer, task: StudyTask, *_: Any) -> None:  # type: ignore[override]
        """Measure where it is due."""
        if trainer.global_step % self.interval_steps == 0:
            self._measure(trainer, task)

    def _measure(self, trainer: pl.Trainer, task: StudyTask) -> None:
        data = task.data
        sets = {
            "train": (data.train_images, data.train_labels),
            "validation": (data.validation_images, data.validation_labels),
        }

        def values(trial: int, weights: Weights, masks: Weights, progress: Progress) -> dict[str, float]:
            found: dict[str, float] = {}
            for name, (images, labels) in sets.items():
                loss, error = loss_and_error(task.stack.model, weights, images, labels, progress)
                found |= {f"{name}_loss": float(loss), f"{name}_error": float(error)}
            return found

        measure(trainer, task, CURVES, trainer.global_step, values)
