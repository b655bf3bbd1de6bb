"""Figure 2: steps-to-result against batch size of several optimizers, a panel for each sparsity."""

from collections.abc import Iterator

import pandas as pd

from dps.report.figures import curve, style
from dps.report.figures.style import Drawing
from dps.report.figures.subject import Family, named
from dps.report.wording import sparsity_name


def draw(family: Family) -> Iterator[Drawing]:
    """Nothing where fewer than two optimizers have K*, or a confirmed one."""
    rows_of = {label: subject.rows for label, subject in family.subjects.items()}
    curves = {label: rows for label, rows in rows_of.items() if not curve.known(rows).empty}
    if len(curves) < 2:
        return
    everything = pd.concat(curves.values())
    sparsities = sorted(set(curve.known(everything)["sparsity"]))
    figure, grid = style.panels_of(family.heading, len(sparsities), height=1.7)
    looks = style.kind_looks(curves)
    if everything["confirmed_steps"].notna().any():
        grid.flat[0].plot([], [], color=style.BLACK, **curve.CONFIRMED)  # in the legend, for those of all optimizers
    for sparsity, axes in zip(sparsities, grid.flat, strict=False):
        for label, studies in curves.items():
            of_sparsity = studies[studies["sparsity"] == sparsity]
            if not of_sparsity.empty:
                curve.plot(axes, curve.reached(of_sparsity), label, looks[label])
                curve.plot_confirmed(axes, of_sparsity, looks[label]["color"])
                curve.plot_unreached(axes, of_sparsity, looks[label]["color"])
        axes.set_title(sparsity_name(sparsity))
        axes.set_xlabel("batch size (examples)")
        style.powers_of_two(axes, "x", everything["batch_size"])
        style.powers_of_two(axes, "y", curve.heights(everything, "steps_to_result", "confirmed_steps"))
    for axes in grid[:, 0]:
        axes.set_ylabel("steps-to-result K*")
    style.set_legend(figure, looks)
    rows = pd.concat([subject.rows for subject in family.subjects.values()])
    pruning = named(family.key["pruning"])
    parts = [f"{family.heading}, {pruning} pruning. K* of each optimizer.", curve.uprights(rows)]
    parts += [curve.fewer(curve.reached(rows)), curve.confirmed(rows), curve.left_out(rows)]
    yield family.name, " ".join(part for part in parts if part), figure
