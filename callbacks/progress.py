"""Says to the display where the training of a study is."""

import pytorch_lightning as pl
from pytorch_lightning import Callback

from dps.engine import display
from dps.engine.module import StudyTask


class StudyProgress(Callback):
    """Steps of the budget, trials that run, and what the study is at, asked whenever the display is drawn.

    A callback may take long within one step, and no step waits for the terminal.
    """

    def on_train_start(self, trainer: pl.Trainer, task: StudyTask) -> None:  # type: ignore[override]
        """Training begins, or goes on from a checkpoint."""

        def position() -> display.Position:
            running = len(task.stack.running())
            return display.Position(trainer.global_step, trainer.max_steps, running, len(task.trials), task.doing)

        display.training(position)

    def on_train_end(self, trainer: pl.Trainer, task: pl.LightningModule) -> None:
        """Training has ended."""
        display.training(None)

    def on_exception(self, trainer: pl.Trainer, task: pl.LightningModule, exception: BaseException) -> None:
        """Training is broken off: nothing of it may be held."""
        display.training(None)
