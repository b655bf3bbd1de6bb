"""What the measuring callbacks share: every running trial is measured by itself, and all rows are published."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning import Callback

from dps.engine.module import StudyTask
from dps.models import Weights
from dps.models.passes import Progress
from dps.storage import measurements
from dps.storage.measurements import Measurement

Values = Callable[[int, Weights, Weights, Progress], Mapping[str, float]]


def measure(trainer: pl.Trainer, task: StudyTask, kind: Measurement, step: int, values: Values) -> None:
    """Measure every running trial at `step`, and add the rows to the study's folder and to every logger.

    `values(trial, weights, masks, progress)` gives a trial's values by column. One trial at a time, so
    that a measurement does not depend on which others still run. Every rank measures; the first publishes.
    """
    running, doing = task.stack.weights_by_trial(), task.doing
    rows = []
    for number, (trial, weights) in enumerate(running.items(), start=1):
        progress = partial(_said, task, f"{kind.name} {number}/{len(running)}")
        rows.append({"trial": trial, "step": step, **values(trial, weights, task.stack.masks_of(trial), progress)})
    task.doing = doing
    if not rows or not trainer.is_global_zero:
        return
    measurements.merge(task.study.folder, kind, rows)
    names = {name: kind.name if name == kind.name else f"{kind.name}/{name}" for name in kind.values}
    metrics = {f"{names[name]}/trial={row['trial']}": row[name] for row in rows for name in names}
    for logger in trainer.loggers:
        logger.log_metrics(metrics, step=step)


class AtSteps(Callback, ABC):
    """Measures every running trial before the first step and every `interval_steps` steps; None: only before.

    Before the callback that ends trials, it measures those that end too.
    """

    kind: Measurement

    def __init__(self, interval_steps: int | None):
        self.interval_steps = interval_steps

    @abstractmethod
    def values(self, task: StudyTask, weights: Weights, masks: Weights, progress: Progress) -> Mapping[str, float]:
        """A trial's values by column, from its weights and masks (1, ...)."""

    def on_train_batch_start(self, trainer: pl.Trainer, task: StudyTask, *_: Any) -> None:  # type: ignore[override]
        """Measure before the first step."""
        if trainer.global_step == 0:
            self._measure(trainer, task)

    def on_train_batch_end(self, trainer: pl.Trainer, task: StudyTask, *_: Any) -> None:  # type: ignore[override]
        """Measure where it is due."""
        if self.interval_steps is not None and trainer.global_step % self.interval_steps == 0:
            self._measure(trainer, task)

    def _measure(self, trainer: pl.Trainer, task: StudyTask) -> None:
        measure(trainer, task, self.kind, trainer.global_step, lambda _, *given: self.values(task, *given))


def _said(task: StudyTask, title: str, passes: Iterable[int]) -> Iterator[int]:
    """Go through the passes, and say for the line of progress which of them it is."""
    every = list(passes)
    for number, one in enumerate(every, start=1):
        task.doing = f"{title}: {number}/{len(every)}"
        yield one
