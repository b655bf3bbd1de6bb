"""What a terminal shows while studies run: how far the sweep is, and what the running study is at.

One display a process, drawn on stderr where that is a terminal. The sweeper opens it for a sweep, and a job by itself
for itself; whoever trains says where it is. Where none is open, as in the jobs of parallel launchers, all of it is
silent.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from dps import durations
from dps.engine.sweep import Sweep

DRAWN_A_SECOND = 4


class Position(NamedTuple):
    """Where a training is: at which step of how many, with how many trials of its own still running, doing what."""

    step: int
    max_steps: int
    running: int
    trials: int
    doing: str


class Running(NamedTuple):
    """A study that runs, and when it began."""

    title: str
    begun: float


@dataclass
class Shown:
    """What is known of what runs, in times of time.monotonic, which all processes of a machine share."""

    sweep: Sweep | None = None
    begun: float = field(default_factory=time.monotonic)
    study: Running | None = None


class _Display:
    """The lines, drawn by a thread of their own a few times a second until they are taken away."""

    def __init__(self, shown: Shown):
        self.shown = shown
        self.position: Callable[[], Position] | None = None
        self.training_begun = 0.0, 0  # when, and at which step
        self._live: Live | None = None

    def draw(self) -> None:
        """Draw, where there is a terminal to draw on."""
        console = Console(stderr=True)
        if console.is_terminal:
            self._live = Live(
                console=console,
                get_renderable=self._lines,
                refresh_per_second=DRAWN_A_SECOND,
                transient=True,
                redirect_stdout=sys.stdout.isatty(),  # else what is written there would end on stderr
            )
            self._live.start()

    def take_away(self) -> None:
        """Leave the terminal as if nothing had been drawn."""
        if self._live is not None:
            self._live.stop()

    def _lines(self) -> Table:
        now, table = time.monotonic(), Table.grid(padding=(0, 1))
        table.add_column(no_wrap=True, overflow="ellipsis")
        if self.shown.sweep is not None:
            table.add_row(self._sweep_line(self.shown.sweep, now))
        if (study := self.shown.study) is not None:  # once: it may end meanwhile, in the thread that trains
            table.add_row(Text(study.title))
            table.add_row(self._study_line(now - study.begun, now))
        return table

    def _sweep_line(self, sweep: Sweep, now: float) -> Table:
        study = self.shown.study
        left = sweep.seconds_left(0 if study is None else now - study.begun)
        words = [f"{sweep.studies_over} of {sweep.studies} studies", durations.exact(now - self.shown.begun)]
        if left is not None:
            seconds, known = left
            words.append(f"about {durations.rough(seconds)} left, going by {known} finished")
        line = Table.grid(padding=(0, 1))
        line.add_row(ProgressBar(sweep.studies, sweep.studies_over, width=12), Text(", ".join(words)))
        return line

    def _study_line(self, seconds: float, now: float) -> Text:
        words = [durations.exact(seconds)]
        if (position := self.position) is None:
            return Text(", ".join(["preparing", *words]))
        at = position()
        words = [f"step {at.step}/{at.max_steps}", f"{at.running} of {at.trials} trials", at.doing, *words]
        since, step = self.training_begun
        if step < at.step < at.max_steps:
            most = (now - since) / (at.step - step) * (at.max_steps - at.step)
            words.append(f"at most {durations.rough(most)} left")
        return Text(", ".join(filter(None, words)))


class _Open:
    display: _Display | None = None  # of this process


@contextmanager
def opened(shown: Shown | None) -> Iterator[None]:
    """Within it this is shown, unless something is already; None: nothing."""
    if shown is None or _Open.display is not None:
        yield
        return
    display = _Open.display = _Display(shown)
    try:
        display.draw()
        yield
    finally:
        _Open.display = None
        display.take_away()


@contextmanager
def study(title: str, number: int | None) -> Iterator[None]:
    """Within it a study runs, in a sweep its job of this number; its time counts unless it fails."""
    if (display := _Open.display) is None:
        yield
        return
    shown, begun, seconds = display.shown, time.monotonic(), None
    shown.study = Running(title, begun)
    if shown.sweep is not None and number is not None:
        shown.sweep.begin(number)
    try:
        yield
        seconds = time.monotonic() - begun
    finally:
        display.position, shown.study = None, None
        if shown.sweep is not None:
            shown.sweep.end(seconds)


def training(position: Callable[[], Position] | None) -> None:
    """From here on the running study is where this says, whenever it is asked; None: it trains no more."""
    if (display := _Open.display) is not None:
        if position is not None:
            display.training_begun = time.monotonic(), position().step
        display.position = position


@contextmanager
def handed_over() -> Iterator[Shown | None]:
    """Within it another process draws: what it needs for that, None where nothing is shown."""
    if (display := _Open.display) is None:
        yield None
        return
    display.take_away()
    try:
        yield display.shown
    finally:
        display.draw()
