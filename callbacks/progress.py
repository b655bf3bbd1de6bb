"""One line of progress for the running study."""

import os
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import ProgressBar
from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.text import Text

from dps.engine.module import StudyTask


class _Doing(ProgressColumn):
    """What the study is at, asked whenever the line is drawn: a callback may take long within one step."""

    def __init__(self, task: StudyTask):
        super().__init__()
        self._study_task = task

    def render(self, _: Task) -> Text:
        return Text(
            ", ".join(filter(None, [self._study_task.doing, f"{len(self._study_task.stack.running())} trials"]))
        )


class StudyProgress(ProgressBar):
    """Steps of the budget, what the study is at, the trials that run, the time and the most it can be.

    The sweeper says in DPS_STUDY which of its studies this is.
    """

    def __init__(self) -> None:
        super().__init__()
        self._enabled = True

    def disable(self) -> None:
        """Show nothing: what Lightning asks of every rank but the first."""
        self._enabled = False

    def enable(self) -> None:
        """Show the line again."""
        self._enabled = True

    def on_train_start(self, trainer: pl.Trainer, task: StudyTask) -> None:  # type: ignore[override]
        """Print which study this is, and draw the line below it, in 80 columns."""
        columns = (
            BarColumn(6),
            TextColumn("step {task.completed}/{task.total}"),
            _Doing(task),
            TimeElapsedColumn(),
            TextColumn("max"),
            TimeRemainingColumn(elapsed_when_finished=False),
        )
        console = Console(stderr=True)
        self._bar = Progress(
            *columns, console=console, transient=True, disable=not self._enabled or not console.is_terminal
        )
        self._line = self._bar.add_task("", total=trainer.max_steps, completed=trainer.global_step)
        self._bar.start()
        if not self._bar.disable:
            number, cfg = os.environ.get("DPS_STUDY"), task.study.cfg
            title = f"batch_size={cfg.batch_size} sparsity={cfg.sparsity}"
            console.print(f"study {number}: {title}" if number else title, highlight=False)

    def on_train_batch_end(self, trainer: pl.Trainer, task: StudyTask, *_: Any) -> None:  # type: ignore[override]
        """Move the line on; rich draws it a few times a second."""
        self._bar.update(self._line, completed=trainer.global_step)

    def on_train_end(self, trainer: pl.Trainer, task: StudyTask) -> None:  # type: ignore[override]
        """Take the line away."""
        self._bar.stop()

    def on_exception(self, trainer: pl.Trainer, task: pl.LightningModule, exception: BaseException) -> None:
        """Leave the terminal as it was."""
        if hasattr(self, "_bar"):
            self._bar.stop()
