"""One line of progress for the running study."""

import os
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import ProgressBar
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from callbacks.goal import Goal
from dps.engine.module import StudyTask


class StudyProgress(ProgressBar):
    """Steps of the budget, the best trial in the latest check, the trials that run, the time and the most it can be.

    The best is the one whose check read the most examples before the goal was out of reach, or, where checks read all,
    the one with the lowest error. The sweeper says in DPS_STUDY which of its studies this is.
    """

    def __init__(self, title: str):
        super().__init__()
        study = os.environ.get("DPS_STUDY")
        self.title = f"study {study}: {title}" if study else title
        self._enabled = True

    def disable(self) -> None:
        """Show nothing: what Lightning asks of every rank but the first."""
        self._enabled = False

    def enable(self) -> None:
        """Show the line again."""
        self._enabled = True

    def on_train_start(self, trainer: pl.Trainer, task: StudyTask) -> None:  # type: ignore[override]
        """Print the title, and draw the line below it, in 80 columns."""
        columns = (
            BarColumn(6),
            TextColumn("step {task.completed}/{task.total}"),
            TextColumn("{task.fields[state]}"),
            TimeElapsedColumn(),
            TextColumn("max"),
            TimeRemainingColumn(elapsed_when_finished=False),
        )
        console = Console(stderr=True)
        self._bar = Progress(
            *columns, console=console, transient=True, disable=not self._enabled or not console.is_terminal
        )
        self._line = self._bar.add_task("", total=trainer.max_steps, completed=trainer.global_step, state="")
        self._bar.start()
        if not self._bar.disable:
            console.print(self.title, highlight=False)

    def on_train_batch_end(self, trainer: pl.Trainer, task: StudyTask, *_: Any) -> None:  # type: ignore[override]
        """Move the line on; rich draws it a few times a second."""
        self._bar.update(self._line, completed=trainer.global_step, state=self._state(trainer, task))

    def say(self, state: str) -> None:
        """Show what else is under way in place of the latest check, until the next step."""
        self._bar.update(self._line, state=state)

    def _state(self, trainer: pl.Trainer, task: StudyTask) -> str:
        goals = [callback for callback in trainer.callbacks if isinstance(callback, Goal)]  # type: ignore[attr-defined]
        failed = [verdict for goal in goals for verdict in goal.verdicts.values() if not verdict.reached]
        state = f"{len(task.trials.running())} trials"
        if not failed:
            return state
        best = max(failed, key=lambda verdict: (verdict.examples_read, -verdict.wrong))
        examples = len(task.data.validation_labels)
        if best.examples_read < examples:
            return f"missed at {best.examples_read}/{examples}, {state}"
        return f"error {best.error:.1%} > goal {goals[0].error:.1%}, {state}"

    def on_train_end(self, trainer: pl.Trainer, task: StudyTask) -> None:  # type: ignore[override]
        """Take the line away."""
        self._bar.stop()

    def on_exception(self, trainer: pl.Trainer, task: pl.LightningModule, exception: BaseException) -> None:
        """Leave the terminal as it was."""
        if hasattr(self, "_bar"):
            self._bar.stop()
