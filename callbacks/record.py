"""Writes the durable record of a study's trials."""

from typing import Any

import pytorch_lightning as pl
from pytorch_lightning import Callback

from dps.engine.module import StudyTask


class Record(Callback):
    """Adds a row to the study's trials.csv for each trial as soon as it has ended.

    Comes after the callback that ends trials.
    """

    def __init__(self) -> None:
        self.written: set[int] = set()

    def on_train_batch_end(self, trainer: pl.Trainer, task: StudyTask, *_: Any) -> None:  # type: ignore[override]
        """Record what is new."""
        if task.outcomes.keys() == self.written or not trainer.is_global_zero:
            return
        new = {trial: outcome for trial, outcome in task.outcomes.items() if trial not in self.written}
        task.study.record([{"trial": trial, **vars(outcome)} for trial, outcome in new.items()])
        self.written |= new.keys()
