"""Writes every trial that ends to the study's trials.csv."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning import Callback

from dps.engine.module import StudyTask
from dps.storage import records


class Record(Callback):
    """Adds a row for each trial as soon as it has ended; `study` holds the columns that all trials share.

    Comes after the callback that ends trials.
    """

    def __init__(self, folder: Path, study: Mapping[str, Any]):
        self.folder, self.study = folder, study
        self.written: set[int] = set()

    def on_train_batch_end(self, trainer: pl.Trainer, task: StudyTask, *_: Any) -> None:  # type: ignore[override]
        """Record what is new."""
        if task.outcomes.keys() == self.written or not trainer.is_global_zero:
            return
        metaparameters = {row["trial"]: row for row in task.metaparameters}
        new = {trial: outcome for trial, outcome in task.outcomes.items() if trial not in self.written}
        rows = [
            {**self.study, **metaparameters[trial]} | {"seed": trial} | vars(outcome) for trial, outcome in new.items()
        ]
        records.merge(self.folder, rows)
        self.written |= new.keys()
