"""Saves the running study, so that a stopped one goes on as if it had never stopped."""

import signal
import time
from types import FrameType
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Checkpoint

from dps.engine.module import StudyTask

RANKS_AGREE_EVERY_STEPS = 16


class StudyCheckpoint(Checkpoint):
    """Saves at the end of a step, when `every_seconds` have passed since the last time, and at the first Ctrl-C.

    Always between steps, after every other callback: a state saved in the middle of one would be resumed wrongly.
    """

    def __init__(self, every_seconds: float):
        self.every_seconds = every_seconds
        self.interrupted = False

    def on_train_start(self, trainer: pl.Trainer, task: pl.LightningModule) -> None:
        """Start the clock; from here the first Ctrl-C waits for the end of the step, a second one does not."""
        self._saved = time.monotonic()
        self._handler = signal.signal(signal.SIGINT, self._interrupt)

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        self.interrupted = True
        signal.signal(signal.SIGINT, self._handler)

    def on_train_batch_end(self, trainer: pl.Trainer, task: StudyTask, *_: Any) -> None:  # type: ignore[override]
        """Save, where it is time."""
        if trainer.world_size > 1 and trainer.global_step % RANKS_AGREE_EVERY_STEPS:
            return
        overdue = time.monotonic() - self._saved >= self.every_seconds
        if trainer.strategy.broadcast(overdue or self.interrupted):
            trainer.save_checkpoint(task.study.checkpoint)
            self._saved = time.monotonic()
        if self.interrupted:
            raise KeyboardInterrupt

    def on_train_end(self, trainer: pl.Trainer, task: pl.LightningModule) -> None:
        """Give Ctrl-C back."""
        signal.signal(signal.SIGINT, self._handler)

    def on_exception(self, trainer: pl.Trainer, task: pl.LightningModule, exception: BaseException) -> None:
        """Give Ctrl-C back."""
        if hasattr(self, "_handler"):
            signal.signal(signal.SIGINT, self._handler)
