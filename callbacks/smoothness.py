"""Measures the local Lipschitz smoothness of every trial's loss."""

from typing import Any

import pytorch_lightning as pl
from pytorch_lightning import Callback

from callbacks.measure import measure
from dps.engine.module import StudyTask
from dps.measures.smoothness import smoothness
from dps.models import Weights
from dps.models.gradients import mean_gradients
from dps.models.passes import Progress
from dps.protocol.kinds import Positive
from dps.storage.measurements import SMOOTHNESS


class Smoothness(Callback):
    """Measures smoothness along step k, from w_k to w_{k+1}, for every k that `interval_steps` divides.

    It keeps a copy of the stack's weights for the time of that step. Each trial costs 11 gradients over the training
    set. A trial that ends with step k has no row for it where the callback that ends trials comes first.
    """

    def __init__(self, interval_steps: Positive):
        self.interval_steps = interval_steps
        self._start: dict[int, Weights] = {}

    def on_train_batch_start(self, trainer: pl.Trainer, task: StudyTask, *_: Any) -> None:  # type: ignore[override]
        """Keep w_k."""
        if trainer.global_step % self.interval_steps == 0:
            stack = task.stack.weights_by_trial()
            self._start = {trial: {name: w.clone() for name, w in weights.items()} for trial, weights in stack.items()}

    def on_train_batch_end(self, trainer: pl.Trainer, task: StudyTask, *_: Any) -> None:  # type: ignore[override]
        """Measure along the step that was kept."""
        if not self._start:
            return
        model, images, labels = task.stack.model, task.data.train_images, task.data.train_labels

        def values(trial: int, end: Weights, masks: Weights, progress: Progress) -> dict[str, float]:
            def gradients(weights: Weights) -> Weights:
                return mean_gradients(model, weights, images, labels)

            survivors, everything = smoothness(gradients, self._start[trial], end, masks, progress)
            return {"smoothness": float(survivors), "smoothness_all_weights": float(everything)}

        measure(trainer, task, SMOOTHNESS, trainer.global_step - 1, values)
        self._start = {}
