"""Figure 4: the learning rates that reach the goal, and the best, against batch size at each sparsity."""

from collections.abc import Iterator

import pandas as pd
from matplotlib.axes import Axes

from dps.analysis.searched import Ranges
from dps.report.figures import style
from dps.report.figures.metaparameters import BEST, STATUS_LOOKS
from dps.report.figures.style import Drawing
from dps.report.figures.subject import Subject, named
from dps.report.wording import sparsity_name
from dps.storage import records

_CAPTION = (
    "Learning rates of the trials that reached the goal: the line spans their range, the star is the best trial, and "
    "the dashed lines are the ends of what was searched. "
    "A study that the race stopped shows no range, since its other trials might have come to the goal later."
)


def draw(subject: Subject, trials: pd.DataFrame, searched: Ranges) -> Iterator[Drawing]:
    """A panel for each sparsity, of the subject's trials; nothing where no trial is complete."""
    complete = trials[(trials["status"] == "complete") & trials["lr"].notna()]
    if complete.empty:
        return
    sparsities = sorted(set(complete["sparsity"]))
    figure, grid = style.panels_of(subject.heading, len(sparsities), height=1.8, sharex=True, sharey=True)
    for sparsity, axes in zip(sparsities, grid.flat, strict=False):
        for batch_size, study in trials[trials["sparsity"] == sparsity].groupby("batch_size"):
            _plot(axes, float(batch_size), study)
        style.plot_ends(axes, "y", searched.get("lr", ()))
        axes.set_title(sparsity_name(sparsity))
        axes.set_xlabel("batch size (examples)")
        axes.xaxis.set_tick_params(labelbottom=True)
    style.powers_of_two(grid[0, 0], "x", complete["batch_size"])
    style.powers_of_ten(grid[0, 0], "y", [*trials["lr"], *searched.get("lr", ())])
    for axes in grid[:, 0]:
        axes.set_ylabel("learning rate")
    style.set_legend(figure)
    yield subject.name, f"{subject.heading}, {named(subject.key['pruning'])} pruning. {_CAPTION}", figure


def _plot(axes: Axes, batch_size: float, study: pd.DataFrame) -> None:
    complete = study[(study["status"] == "complete") & study["lr"].notna()]
    if complete.empty:
        return
    best = records.best(complete)
    assert best is not None
    rates, others = complete["lr"].to_numpy(float), complete[complete.index != best.name]["lr"].to_numpy(float)
    if len(others):
        x = [batch_size] * len(others)
        axes.plot(x, others, linestyle="none", markersize=2.2, label="goal reached", **STATUS_LOOKS["complete"])
        if not (study["status"] == "censored").any():
            ends = [rates.min(), rates.max()]
            axes.plot([batch_size] * 2, ends, color=style.BLUE, linewidth=0.9, marker="_", label="range that succeeds")
    axes.plot([batch_size], [best["lr"]], linestyle="none", label="best", **BEST)
