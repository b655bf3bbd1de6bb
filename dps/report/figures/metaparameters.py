"""Figures 3 and 13 to 18: the trials of every study in the space of metaparameters."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dps.analysis.searched import Ranges
from dps.protocol.metaparameters import Metaparameter
from dps.protocol.outcome import STATUSES
from dps.report.figures import style
from dps.report.figures.style import Drawing
from dps.report.figures.subject import Subject, named, safe
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
_MARKS = (
    "Each mark is a trial, in a panel for each sparsity S and batch size B: complete (goal reached), incomplete "
    "(budget of steps spent), infeasible (diverged), censored (stopped by the race, not faster than the best)."
)
_STAR = "The star is the best trial, whose steps are K*."
_STAR_OF_REPLICATES = "The star is the best trial of all replicates; K* is the geometric mean over the replicates."
_ENDS = "Dashed lines: the ends of what was searched."


@dataclass(frozen=True)
class Quantity:
    """What an axis shows: a column of the trials on a scale, linear, log, one_minus_log (log of 1 - x) or octaves."""

    column: str
    scale: str

    @property
    def label(self) -> str:
        """The axis' label."""
        name = LABELS.get(self.column, self.column.replace("_", " "))
        return f"1 \N{MINUS SIGN} {name}" if self.scale == "one_minus_log" else name

    def of(self, trials: pd.DataFrame) -> np.ndarray:
        """The heights at which the trials are drawn."""
        return self.at(trials[self.column].to_numpy(float))

    def at(self, values: np.ndarray) -> np.ndarray:
        """The heights of values of the column."""
        return 1 - values if self.scale == "one_minus_log" else values


@dataclass(frozen=True)
class Plane:
    """Two quantities; `suffix` goes to the figure's name."""

    suffix: str
    x: Quantity
    y: Quantity


LABELS = {"lr": "learning rate"}
STEPS_RUN = Quantity("steps_run", "octaves")


def draw(
    subject: Subject, trials: pd.DataFrame, metaparameters: Sequence[Metaparameter], searched: Ranges
) -> Iterator[Drawing]:
    """A figure for each plane of the metaparameters in which any of the subject's trials has both values."""
    for plane in _planes(trials, metaparameters):
        shown = trials.dropna(subset=[plane.x.column, plane.y.column])
        if not shown.empty:
            counts = shown["status"].value_counts()
            text = ", ".join(f"{counts.get(status, 0)} {status}" for status in STATUSES)
            star = _STAR if trials["replicate"].nunique() == 1 else _STAR_OF_REPLICATES
            heading = f"{subject.heading}, {named(subject.key['pruning'])} pruning ({text})."
            caption = f"{heading} {_MARKS} {star} {_ENDS}"
            yield subject.name + plane.suffix, caption, _figure(subject, shown, plane, searched)


def _planes(trials: pd.DataFrame, metaparameters: Sequence[Metaparameter]) -> list[Plane]:
    """Learning rate against momentum, or where there is none the steps run; the decay's; it against all that varies."""
    known = {one.name: Quantity(one.name, one.scale) for one in metaparameters if one.name in trials}
    lr, momentum, *decay = (known.pop(name) for name in ("lr", "momentum", "decay_steps", "end_factor"))
    has_momentum = trials["momentum"].notna().any()
    others = [Plane(f"_{safe(name)}", lr, one) for name, one in known.items() if trials[name].nunique() > 1]
    return [Plane("", lr, momentum if has_momentum else STEPS_RUN), Plane("_decay", *decay), *others]


def _figure(subject: Subject, trials: pd.DataFrame, plane: Plane, searched: Ranges) -> Figure:
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
            for which, quantity in (("x", plane.x), ("y", plane.y)):
                style.plot_ends(grid[place], which, _ends(quantity, searched))
    _set_axes(grid, used, trials, plane, searched)
    style.set_legend(figure)
    return figure


def _ends(quantity: Quantity, searched: Ranges) -> np.ndarray:
    """The heights between which the quantity was searched; none where that is not known."""
    return quantity.at(np.array(searched.get(quantity.column, ()), float))


def _plot(axes: Axes, study: pd.DataFrame, plane: Plane) -> None:
    best = records.best(study)
    others = study if best is None else study[study.index != best.name]
    for status, look in STATUS_LOOKS.items():
        rows = others[others["status"] == status]
        if not rows.empty:
            axes.plot(*_points(rows, plane), linestyle="none", markersize=2.8, label=status, **look)
    if best is not None:
        axes.plot(*_points(best.to_frame().T, plane), linestyle="none", label="best", clip_on=False, zorder=3, **BEST)
    if study.empty:
        axes.text(0.5, 0.5, "no study", transform=axes.transAxes, ha="center", va="center", color="0.5")


def _points(rows: pd.DataFrame, plane: Plane) -> tuple[np.ndarray, np.ndarray]:
    return plane.x.of(rows), plane.y.of(rows)


def _set_axes(grid: np.ndarray, used: np.ndarray, trials: pd.DataFrame, plane: Plane, searched: Ranges) -> None:
    """Common scales; labels and the ticks' numbers at the left, and at the lowest panel of each column."""
    for which, quantity in (("x", plane.x), ("y", plane.y)):
        if quantity.scale in ("log", "one_minus_log"):
            stride = 2 if which == "x" and grid.shape[1] > 3 else 1
            style.powers_of_ten(grid[0, 0], which, [*quantity.of(trials), *_ends(quantity, searched)], stride)
        if quantity.scale == "octaves":
            style.powers_of_two(grid[0, 0], which, quantity.of(trials), most=6)
    for column in range(grid.shape[1]):
        lowest = np.flatnonzero(used[:, column]).max()
        grid[lowest, column].tick_params(labelbottom=True)
        grid[lowest, column].set_xlabel(plane.x.label)
        for axes in grid[lowest + 1 :, column]:
            axes.set_visible(False)
    for axes in grid[:, 0]:
        axes.set_ylabel(plane.y.label)
