"""Saves the running study, so that a stopped one goes on as if it had never stopped."""

import signal
import time
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Checkpoint

from dps import signals
from dps.engine.module import StudyTask
from dps.protocol.kinds import Seconds

RANKS_AGREE_EVERY_STEPS = 16  # at most: asking the others takes longer than many a step
SLOW = 0.05  # seconds of a step, from which on they agree after each


class StudyCheckpoint(Checkpoint):
    """Saves at the end of a step, when `every_seconds` have passed since the last time, and when a signal has come.

    Always between steps, after every other callback: a state saved in the middle of one would be resumed wrongly.
    """

    def __init__(self, every_seconds: Seconds):
        self.every_seconds = every_seconds

    def on_train_start(self, trainer: pl.Trainer, task: pl.LightningModule) -> None:
        """Start the clock; from here the first signal waits for the end of the step, a second one does not."""
        self._saved = self._agreed = time.monotonic()
        self._step: int | None = trainer.global_step or None
        self._agreed_at, self._agree_next = trainer.global_step, trainer.global_step + 1
        signals.finish_steps()

    def on_train_batch_end(self, trainer: pl.Trainer, task: StudyTask, *_: Any) -> None:  # type: ignore[override]
        """Save, where it is time, and end where a signal has come, to whichever rank."""
        if trainer.world_size > 1 and not self._agree(trainer):
            return
        overdue = time.monotonic() - self._saved >= self.every_seconds
        stop = _any_rank(trainer, signals.stop_asked() is not None)
        if stop or _any_rank(trainer, overdue):
            trainer.save_checkpoint(task.study.checkpoint)
            self._saved, self._step = time.monotonic(), trainer.global_step
        if stop:
            raise signals.Stopped(signals.stop_asked() or signal.SIGTERM)

    def _agree(self, trainer: pl.Trainer) -> bool:
        """Whether the ranks come together after this step, as they have agreed the last time by how long steps take."""
        if (step := trainer.global_step) < self._agree_next:
            return False
        now = time.monotonic()
        slow = (now - self._agreed) / (step - self._agreed_at) > SLOW
        self._agreed, self._agreed_at = now, step
        self._agree_next = step + (1 if _any_rank(trainer, slow) else RANKS_AGREE_EVERY_STEPS)
        return True

    def on_train_end(self, trainer: pl.Trainer, task: pl.LightningModule) -> None:
        """No step is left to be finished."""
        signals.interrupt_steps()

    def on_exception(self, trainer: pl.Trainer, task: StudyTask, exception: BaseException) -> None:  # type: ignore[override]
        """Say, where a signal was the reason, what is kept."""
        if not isinstance(exception, signals.Stopped):
            signals.interrupt_steps()
        elif hasattr(self, "_step"):
            step = "" if self._step is None else f" and a checkpoint of step {self._step}"
            exception.kept = f"{task.study.folder} keeps the trials that had ended{step}"


def _any_rank(trainer: pl.Trainer, decision: bool) -> bool:
    return bool(trainer.strategy.reduce_boolean_decision(decision, all=False))
