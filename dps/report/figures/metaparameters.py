"""Figures 3 and 13 to 18: the trials of every study in the space of metaparameters."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dps.report.figures import style
from dps.report.figures.style import Drawing
from dps.report.figures.subject import Subject, named
from dps.storage import records

STATUS_LOOKS: Mapping[str, Mapping[str, Any]] = {
    "complete": {"marker": "o", "color": style.BLUE},
    "incomplete": {"marker": "^", "color": "0.55"},
    "infeasible": {"marker": "x", "color": style.VERMILION},
    "censored": {"marker": "D", "color": style.SKY, "markerfacecolor": "none"},
}
BEST: Mapping[str, Any] = {
    "marker": "*",
    "color": "#FFD700",
    "markersize": 7.5,
    "markeredgecolor": "black",
    "markeredgewidth": 0.5,
}
_CAPTION = (
    "Each mark is a trial, in a panel for each sparsity S and batch size B: complete (goal reached), incomplete "
    "(budget of steps spent), infeasible (diverged), censored (stopped by the race, not faster than the best). The "
    "star is the best trial, whose steps are K*."
)


@dataclass(frozen=True)
class Plane:
    """Two of the trials' columns, `x` and `y`; `suffix` goes to the figure's name."""

    suffix: str
    x: str
    y: str
    decades: str  # those of "x" and "y" that have ticks at powers of ten
    octaves: str = ""  # and at powers of two


_LABELS = {
    "lr": "learning rate",
    "one_minus_momentum": "1 \N{MINUS SIGN} momentum",
    "steps_run": "steps run",
    "decay_steps": "decay steps",
    "end_factor": "end factor",
}


def draw(subject: Subject, trials: pd.DataFrame) -> Iterator[Drawing]:
    """Learning rate against 1 - momentum, without momentum against the steps run; then the decay's metaparameters."""
    trials = subject.trials(trials).assign(one_minus_momentum=lambda frame: 1 - frame["momentum"])
    has_momentum = trials["momentum"].notna().any()
    planes = [
        Plane("", "lr", "one_minus_momentum", "xy") if has_momentum else Plane("", "lr", "steps_run", "x", "y"),
        Plane("_decay", "decay_steps", "end_factor", "y"),
    ]
    for plane in planes:
        shown = trials.dropna(subset=[plane.x, plane.y])
        if not shown.empty:
            counts = shown["status"].value_counts()
            text = ", ".join(f"{counts.get(status, 0)} {status}" for status in records.STATUSES)
            caption = f"{subject.heading}, {named(subject.key['pruning'])} pruning ({text}). {_CAPTION}"
            yield subject.name + plane.suffix, caption, _figure(subject, shown, plane)


def _figure(subject: Subject, trials: pd.DataFrame, plane: Plane) -> Figure:
    """Small multiples: batch sizes across, in blocks of at most seven, sparsities down."""
    batch_sizes, sparsities = (sorted(set(trials[name])) for name in ("batch_size", "sparsity"))
    blocks = -(-len(batch_sizes) // 7)
    columns = -(-len(batch_sizes) // blocks)
    rows = blocks * len(sparsities)
    figure, grid = style.panels(subject.heading, rows, columns, min(1.6, 8.2 / rows), sharex=True, sharey=True)
    used = np.zeros(grid.shape, dtype=bool)
    for index, batch_size in enumerate(batch_sizes):
        block, column = divmod(index, columns)
        for level, sparsity in enumerate(sparsities):
            place = block * len(sparsities) + level, column
            used[place] = True
            grid[place].set_title(f"S={100 * sparsity:.6g}%, B={batch_size}", fontsize=5.5, pad=2)
            _plot(grid[place], trials[(trials["batch_size"] == batch_size) & (trials["sparsity"] == sparsity)], plane)
    _set_axes(grid, used, trials, plane)
    style.set_legend(figure)
    return figure


def _plot(axes: Axes, study: pd.DataFrame, plane: Plane) -> None:
    for status, look in STATUS_LOOKS.items():
        rows = study[study["status"] == status]
        if not rows.empty:
            axes.plot(*_points(rows, plane), linestyle="none", markersize=2.8, label=status, **look)
    best = records.best(study)
    if best is not None:
        axes.plot(*_points(best.to_frame().T, plane), linestyle="none", label="best", clip_on=False, zorder=3, **BEST)
    if study.empty:
        axes.text(0.5, 0.5, "no study", transform=axes.transAxes, ha="center", va="center", color="0.5")


def _points(rows: pd.DataFrame, plane: Plane) -> tuple[np.ndarray, np.ndarray]:
    return rows[plane.x].to_numpy(float), rows[plane.y].to_numpy(float)


def _set_axes(grid: np.ndarray, used: np.ndarray, trials: pd.DataFrame, plane: Plane) -> None:
    """Common scales; labels and the ticks' numbers at the left, and at the lowest panel of each column."""
    for which, name in (("x", plane.x), ("y", plane.y)):
        if which in plane.decades:
            style.powers_of_ten(grid[0, 0], which, trials[name], stride=2 if which == "x" and grid.shape[1] > 3 else 1)
        if which in plane.octaves:
            style.powers_of_two(grid[0, 0], which, trials[name], most=6)
    for column in range(grid.shape[1]):
        lowest = np.flatnonzero(used[:, column]).max()
        grid[lowest, column].tick_params(labelbottom=True)
        grid[lowest, column].set_xlabel(_LABELS[plane.x])
        for axes in grid[lowest + 1 :, column]:
            axes.set_visible(False)
    for axes in grid[:, 0]:
        axes.set_ylabel(_LABELS[plane.y])
