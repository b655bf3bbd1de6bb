"""Figures 5 and 6: what was measured in the course of training, the mean over trials and their range."""

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from dps.analysis.measured import after_step_0
from dps.report.figures import style
from dps.report.figures.style import Drawing, Look
from dps.report.figures.subject import Subject, named
from dps.report.wording import counted, sparsity_name

_LOSSES = {
    "train_loss": "training loss (nats)",
    "validation_loss": "validation loss (nats)",
    "train_error": "training error (fraction)",
    "validation_error": "validation error (fraction)",
}
_BAND = "Lines: mean over the trials measured at a step; band: their least and greatest"


def draw_smoothness(subject: Subject, looks: Mapping[float, Look]) -> Iterator[Drawing]:
    """Figure 5: a panel for each batch size, with L's average; nothing without any."""
    rows = _finite(subject.rows, "smoothness")
    if rows.empty:
        return
    batch_sizes = sorted(set(rows["batch_size"]))
    figure, grid = style.panels(_heading(subject, rows), len(batch_sizes), 1, height=2.4)
    for batch_size, axes in zip(batch_sizes, grid.flat, strict=True):
        for sparsity, of_sparsity in rows[rows["batch_size"] == batch_size].groupby("sparsity"):
            mean = after_step_0(of_sparsity)["smoothness"].mean()
            label = sparsity_name(sparsity) + (f": {mean:.3g}" if np.isfinite(mean) else "")
            _plot(axes, of_sparsity, "smoothness", label, looks[sparsity])
        axes.set_title(f"batch size {batch_size}")
        axes.set_xlabel("training step")
        axes.set_ylabel("Lipschitz constant L")
        style.powers_of_two(axes, "y", rows["smoothness"])
        axes.legend(
            title="average L after step 0", loc="upper left", bbox_to_anchor=(0, -0.22), ncols=2, title_fontsize=7
        )
    what = "Local Lipschitz constant L of the gradient during training (paper, Equation 7) and its average"
    yield subject.name, f"{_heading(subject, rows)}. {what}. {_BAND}.", figure


def draw_losses(subject: Subject, looks: Mapping[float, Look]) -> Iterator[Drawing]:
    """Figure 6: loss and error on both sets, a row for each batch size; nothing without any."""
    rows = subject.rows
    columns = [name for name in _LOSSES if not _finite(rows, name).empty]
    if not columns:
        return
    batch_sizes = sorted(set(rows["batch_size"]))
    figure, grid = style.panels(_heading(subject, rows), len(batch_sizes), len(columns), height=1.8)
    for batch_size, line in zip(batch_sizes, grid, strict=True):
        for name, axes in zip(columns, line, strict=True):
            of_batch = _finite(rows[rows["batch_size"] == batch_size], name)
            for sparsity, of_sparsity in of_batch.groupby("sparsity"):
                _plot(axes, of_sparsity, name, sparsity_name(sparsity), looks[sparsity])
            axes.set_xlabel("training step")
            axes.set_ylabel(_LOSSES[name])
            style.powers_of_two(axes, "y", rows[name])
        line[0].set_title(f"batch size {batch_size}", loc="left")
    style.set_legend(figure)
    yield subject.name, f"{_heading(subject, rows)}. Training logs over the entire sets. {_BAND}.", figure


def _plot(axes: Axes, rows: pd.DataFrame, name: str, label: str, look: Look) -> None:
    """Draws the mean over trials at each step, and a band where several were measured."""
    at_step = rows.groupby("step")[name].agg(["mean", "min", "max"])
    steps = at_step.index.to_numpy(float)
    if _trials(rows) > 1:
        axes.fill_between(steps, at_step["min"], at_step["max"], color=look["color"], alpha=0.15, linewidth=0)
    every = max(1, len(steps) // 8)
    axes.plot(steps, at_step["mean"].to_numpy(float), label=label, markevery=every, **look)


def _finite(rows: pd.DataFrame, name: str) -> pd.DataFrame:
    return rows[np.isfinite(rows[name].to_numpy(float, na_value=np.nan))]


def _heading(subject: Subject, rows: pd.DataFrame) -> str:
    return f"{subject.title}, {named(subject.key['pruning'])} pruning: {counted([_trials(rows)], 'trial')} measured"


def _trials(rows: pd.DataFrame) -> int:
    """How many trials were measured, of all replicates."""
    return len(rows[["replicate", "trial"]].drop_duplicates())
