"""Measures the noise of every trial's gradient."""

from typing import Any

import pytorch_lightning as pl
from pytorch_lightning import Callback

from callbacks.measure import check_interval, measure
from dps.engine.module import StudyTask
from dps.measures.noise import gradient_noise
from dps.models import Weights
from dps.models.passes import Progress
from dps.storage.measurements import NOISE


class Noise(Callback):
    """Measures the gradient's noise before the first step and every `interval_steps` steps; null: only before.

    Each trial costs the gradient of every training example alone.
    """

    def __init__(self, interval_steps: int | None):
        check_interval("callbacks.noise.interval_steps", interval_steps, ", or null for step 0 alone")
        self.interval_steps = interval_steps

    def on_train_batch_start(self, trainer: pl.Trainer, task: StudyTask, *_: Any) -> None:  # type: ignore[override]
        """Measure before the first step."""
        if trainer.global_step == 0:
            self._measure(trainer, task)

    def on_train_batch_end(self, trainer: pl.Trainer, task: StudyTask, *_: Any) -> None:  # type: ignore[override]
        """Measure where it is due."""
        if self.interval_steps is not None and trainer.global_step % self.interval_steps == 0:
            self._measure(trainer, task)

    def _measure(self, trainer: pl.Trainer, task: StudyTask) -> None:
        model, images, labels = task.stack.model, task.data.train_images, task.data.train_labels

        def values(trial: int, weights: Weights, masks: Weights, progress: Progress) -> dict[str, float]:
            found = gradient_noise(model, weights, images, labels, masks, progress)
            return vars(found) | {"noise_scale": found.noise_scale}

        measure(trainer, task, NOISE, trainer.global_step, values)
