"""Figure 4: the learning rates that reach the goal, and the best, against batch size at each sparsity."""

from collections.abc import Iterator

import pandas as pd
from matplotlib.axes import Axes

from dps.report.figures import style
from dps.report.figures.metaparameters import BEST, STATUS_LOOKS
from dps.report.figures.style import Drawing
from dps.report.figures.subject import Subject, named
from dps.report.wording import sparsity_name
from dps.storage import records

_CAPTION = (
    "Learning rates of the trials that reached the goal: the line spans their range, the star is the best trial. "
    "A study that the race stopped shows no range, since its other trials might have come to the goal later."
)


def draw(subject: Subject, trials: pd.DataFrame) -> Iterator[Drawing]:
    """A panel for each sparsity; nothing where no trial is complete."""
    trials = subject.trials(trials)
    complete = trials[(trials["status"] == "complete") & trials["lr"].notna()]
    if complete.empty:
        return
    sparsities = sorted(set(complete["sparsity"]))
    columns = min(len(sparsities), 4)
    shape = (-(-len(sparsities) // columns), columns)
    figure, grid = style.panels(subject.heading, *shape, height=1.8, sharex=True, sharey=True)
    for axes in list(grid.flat)[len(sparsities) :]:
        axes.set_visible(False)
    for sparsity, axes in zip(sparsities, grid.flat, strict=False):
        for batch_size, study in trials[trials["sparsity"] == sparsity].groupby("batch_size"):
            _plot(axes, float(batch_size), study)
        axes.set_title(sparsity_name(sparsity))
        axes.set_xlabel("batch size (examples)")
        axes.xaxis.set_tick_params(labelbottom=True)
    style.powers_of_two(grid[0, 0], "x", complete["batch_size"])
    style.powers_of_ten(grid[0, 0], "y", trials["lr"])
    for axes in grid[:, 0]:
        axes.set_ylabel("learning rate")
    style.set_legend(figure)
    yield subject.name, f"{subject.heading}, {named(subject.key['pruning'])} pruning. {_CAPTION}", figure


def _plot(axes: Axes, batch_size: float, study: pd.DataFrame) -> None:
    complete = study[(study["status"] == "complete") & study["lr"].notna()]
    if complete.empty:
        return
    rates = complete["lr"].to_numpy(float)
    x = [batch_size] * len(rates)
    axes.plot(x, rates, linestyle="none", markersize=2.2, label="goal reached", **STATUS_LOOKS["complete"])
    if not (study["status"] == "censored").any():
        ends = [rates.min(), rates.max()]
        axes.plot([batch_size] * 2, ends, color=style.BLUE, linewidth=0.9, marker="_", label="range that succeeds")
    best = records.best(complete)
    assert best is not None
    axes.plot([batch_size], [best["lr"]], linestyle="none", label="best", **BEST)
