"""What the measuring callbacks share: every running trial is measured by itself, and all rows are published."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path

import pytorch_lightning as pl

from callbacks.progress import StudyProgress
from dps.engine.module import StudyTask
from dps.models.gradients import Progress, Weights
from dps.stack.stack import Trials
from dps.storage import measurements
from dps.storage.measurements import Table

Values = Callable[[int, Weights, Weights, Progress], Mapping[str, float]]


def measure(trainer: pl.Trainer, task: StudyTask, folder: Path, table: Table, step: int, values: Values) -> None:
    """Measure every running trial at `step`, and add the rows to the study's folder and to every logger.

    `values(trial, weights, masks, progress)` gives a trial's values by column of the table. One trial at a time, so
    that a measurement does not depend on which others still run. Every rank measures; the first publishes.
    """
    running = task.trials.weights_by_trial()
    rows = []
    for number, (trial, weights) in enumerate(running.items(), start=1):
        progress = partial(_on_the_line, trainer, f"{table.name} {number}/{len(running)}")
        rows.append({"trial": trial, "step": step, **values(trial, weights, _masks(task.trials, trial), progress)})
    if not rows or not trainer.is_global_zero:
        return
    measurements.merge(folder, table, rows)
    names = {name: table.name if name == table.name else f"{table.name}/{name}" for name in table.values}
    metrics = {f"{names[name]}/trial={row['trial']}": row[name] for row in rows for name in names}
    for logger in trainer.loggers:
        logger.log_metrics(metrics, step=step)


def check_interval(key: str, interval_steps: int | None, or_null: str = "") -> None:
    """ValueError unless the interval is a positive integer, or null where `or_null` says what that means."""
    if interval_steps is None and or_null:
        return
    if type(interval_steps) is not int or interval_steps < 1:
        shown = "null" if interval_steps is None else interval_steps
        raise ValueError(f"{key}={shown} must be a positive integer{or_null}")


def _masks(trials: Trials, trial: int) -> Weights:
    index, inner = trials.place(trials.running()[trial])
    masks = trials.parts[index].masks
    return {name: mask.data[inner : inner + 1] for name, mask in zip(trials.names, masks, strict=False)}


def _on_the_line(trainer: pl.Trainer, title: str, passes: Iterable[int]) -> Iterator[int]:
    """Go through the passes, and say on the study's line of progress which of them it is."""
    line, every = trainer.progress_bar_callback, list(passes)
    for number, one in enumerate(every, start=1):
        if isinstance(line, StudyProgress):
            line.say(f"{title}: {number}/{len(every)}")
        yield one
