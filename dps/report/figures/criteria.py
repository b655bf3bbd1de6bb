"""K* of several pruning criteria side by side, a panel for each sparsity."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from dps.report.figures import curve, style
from dps.report.figures.style import Drawing, Look
from dps.report.figures.subject import Family, named
from dps.report.wording import sparsity_name

SPREAD = 0.6  # of the distance between two criteria, over which the batch sizes of one are spread
_CAPTION = (
    "K* of networks pruned at initialisation by each criterion. A triangle at the frame: in one replicate or more no "
    "trial reached the goal, so that K* is not known."
)


def draw(family: Family) -> Iterator[Drawing]:
    """Nothing where fewer than two criteria have K*; `family` has a subject for each."""
    own = [subject.rows[subject.rows["pruning"] == subject.key["pruning"]] for subject in family.subjects.values()]
    studies = pd.concat(own)
    studies = studies[studies["sparsity"] > 0]
    if curve.reached(studies)["pruning"].nunique() < 2:
        return
    names = sorted(set(studies["pruning"]), reverse=True)  # upwards
    sparsities = sorted(set(studies["sparsity"]))
    figure, grid = style.panels_of(family.heading, len(sparsities), height=0.5 + 0.22 * len(names), sharey=True)
    sizes = sorted(set(studies["batch_size"]))
    looks = style.kind_looks(f"batch size {size}" for size in sizes)
    for sparsity, axes in zip(sparsities, grid.flat, strict=False):
        for rank, (size, (label, look)) in enumerate(zip(sizes, looks.items(), strict=True)):
            rows = studies[(studies["sparsity"] == sparsity) & (studies["batch_size"] == size)]
            _plot(axes, rows, names, (rank + 0.5) / len(sizes) - 0.5, label, look)
        axes.set_title(sparsity_name(sparsity))
        axes.set_yticks(range(len(names)), [named(name) for name in names])
        axes.set_ylim(-0.6, len(names) - 0.4)
        axes.set_xlabel("steps-to-result K*")
        style.powers_of_two(axes, "x", curve.heights(studies, "steps_to_result"), 5)
    style.set_legend(figure, looks)
    yield family.name, f"{family.heading}. {_CAPTION} {curve.uprights(studies, lines='Lines')}", figure


def _plot(axes: Axes, rows: pd.DataFrame, names: Sequence[str], place: float, label: str, look: Look) -> None:
    """Draws K* of one batch size with its intervals; `place`, in (-0.5, 0.5), is that among the batch sizes."""
    steps, low, high = (rows[f"steps_to_result{end}"].to_numpy(float, na_value=np.nan) for end in ("", "_low", "_high"))
    heights = np.array([names.index(name) for name in rows["pruning"]]) - SPREAD * place
    axes.plot(steps, heights, label=label, **{**look, "linestyle": "none"})
    axes.hlines(heights, low, high, color=look["color"], linewidth=0.8)
    for height in heights[np.isnan(steps)]:
        frame = axes.get_yaxis_transform()
        axes.plot(1, height, ">", color=look["color"], transform=frame, clip_on=False, **curve.UNREACHED)
