"""Figures 1 and 7 to 11: steps-to-result against batch size, at each sparsity, together and normalised."""

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from dps.report.figures import curve, style
from dps.report.figures.style import Drawing, Look
from dps.report.figures.subject import Family, Subject, named
from dps.report.wording import sparsity_name

Looks = Mapping[float, Look]
_WHAT = (
    "Steps-to-result K* against batch size. Dashed: linear scaling from the smallest batch, where twice the batch "
    "takes half the steps, down to half of the least K*; dotted: the fit c1/B + c2, with an upright line where both "
    "terms are equal, at the critical batch size c1/c2, and its 95% interval shaded where the data bound it. "
    "Normalised: K* divided by its value at the smallest batch size that all sparsities have."
)


def draw_one(subject: Subject, theory: pd.DataFrame, looks: Looks) -> Iterator[Drawing]:
    """A panel for each sparsity, one of all together and one normalised; nothing without K* and confirmed K*."""
    studies = curve.known(subject.rows)
    if studies.empty:
        return
    sparsities = sorted(set(studies["sparsity"]))
    count = len(sparsities) + (1 if len(sparsities) == 1 else 2)
    figure, grid = style.panels_of(subject.heading, count, 4 if count <= 4 else 3)
    panels = list(grid.flat)
    single = dict(zip(sparsities, panels, strict=False))
    _draw(subject, theory, looks, single, panels[len(single) : count - 1], panels[count - 1])
    for axes in grid[:, 0]:
        axes.set_ylabel("steps-to-result K*")
    style.set_legend(figure, map(sparsity_name, sparsities))
    yield subject.name, _caption(subject.heading, subject.rows, subject.key["pruning"]), figure


def draw_all(family: Family, theory: pd.DataFrame, looks: Looks) -> Iterator[Drawing]:
    """A row of panels for each optimizer: the least sparse network, the sparsest, all together, normalised."""
    members = {label: member for label, member in family.subjects.items() if not curve.known(member.rows).empty}
    if not members:
        return
    figure, grid = style.panels(family.heading, len(members), 4)
    for (label, subject), row in zip(members.items(), grid, strict=True):
        sparsities = sorted(set(curve.known(subject.rows)["sparsity"]))
        single = dict(zip(sorted({sparsities[0], sparsities[-1]}), row, strict=False))
        row[1].set_visible(len(single) > 1)
        _draw(subject, theory, looks, single, [row[2]], row[3])
        row[0].set_ylabel(f"{label}\nsteps-to-result K*").set_parse_math(False)
    style.set_legend(figure, map(sparsity_name, looks))
    rows = pd.concat([subject.rows for subject in members.values()])
    yield family.name, _caption(family.heading, rows, family.key["pruning"]), figure


def _draw(
    subject: Subject,
    theory: pd.DataFrame,
    looks: Looks,
    single: Mapping[float, Axes],
    together: list[Axes],
    normalised: Axes,
) -> None:
    """Draws one subject: each sparsity by itself, in at most one panel all together, and normalised."""
    known, studies, fits = curve.known(subject.rows), curve.reached(subject.rows), subject.theory(theory)
    heights = curve.heights(known, "steps_to_result", "confirmed_steps")
    batch_sizes = subject.rows.loc[subject.rows["sparsity"].isin(known["sparsity"]), "batch_size"]
    least = float(studies["steps_to_result"].min())
    for sparsity, axes in single.items():
        of_sparsity = studies[studies["sparsity"] == sparsity]
        if not of_sparsity.empty:
            references = _plot_references(axes, of_sparsity, fits[fits["sparsity"] == sparsity], least)
            heights = np.append(heights, references)
        curve.plot(axes, of_sparsity, sparsity_name(sparsity), looks[sparsity])
        curve.plot_confirmed(axes, known[known["sparsity"] == sparsity])
        curve.plot_unreached(axes, subject.rows[subject.rows["sparsity"] == sparsity], looks[sparsity]["color"])
        axes.set_title(sparsity_name(sparsity))
    for axes in together:
        axes.set_visible(not studies.empty)
        for sparsity, rows in studies.groupby("sparsity"):
            curve.plot(axes, rows, sparsity_name(sparsity), looks[sparsity])
        axes.set_title("all sparsities")
    for axes in [*single.values(), *together]:
        style.powers_of_two(axes, "y", heights)
    _plot_normalised(normalised, studies, looks)
    for axes in [*single.values(), *together, normalised]:
        style.powers_of_two(axes, "x", batch_sizes)
        axes.set_xlabel("batch size (examples)")


def _plot_references(axes: Axes, studies: pd.DataFrame, fits: pd.DataFrame, least: float) -> list[float]:
    """Linear scaling from the smallest batch, and c1/B + c2 where exactly one fit of these studies is known.

    The critical batch size is marked where it lies among the measured ones. Returns the ends of both curves in steps.
    """
    batch_sizes, steps = (studies[name].to_numpy(float) for name in ("batch_size", "steps_to_result"))
    ends = [_plot_linear(axes, batch_sizes, steps[0], least)]
    if len(fits) == 1 and np.isfinite([fits["c1"].iloc[0], fits["c2"].iloc[0]]).all():
        x = np.geomspace(batch_sizes[0], batch_sizes[-1], 50)
        y = fits["c1"].iloc[0] / x + fits["c2"].iloc[0]
        axes.plot(x, y, color=style.VERMILION, linestyle=":", linewidth=1.3, zorder=2.5, label="fit c1/B + c2")
        ends += [y[0], y[-1]]
        critical = fits["critical_batch_size"].iloc[0]
        if batch_sizes[0] <= critical <= batch_sizes[-1]:
            axes.axvline(
                critical, color=style.VERMILION, linestyle=":", linewidth=0.8, label="critical batch size c1/c2"
            )
        _shade(axes, float(fits["critical_low"].iloc[0]), float(fits["critical_high"].iloc[0]), batch_sizes)
    return ends


def _shade(axes: Axes, low: float, high: float, batch_sizes: np.ndarray) -> None:
    """The interval of the critical batch size among the measured batch sizes; an end that is not known is beyond.

    Nothing where neither end is known, which says nothing.
    """
    start, end = np.fmax(low, batch_sizes[0]), np.fmin(high, batch_sizes[-1])
    if (low > 0 or np.isfinite(high)) and start < end:
        axes.axvspan(start, end, color=style.VERMILION, alpha=0.08, linewidth=0, zorder=0, label="its 95% interval")


def _plot_linear(axes: Axes, batch_sizes: np.ndarray, first: float, least: float) -> float:
    """Linear scaling to the largest batch size, or as far down as half of the least of the heights; where it ends."""
    last = min(batch_sizes[-1], batch_sizes[0] * first / (least / 2))
    ends = np.array([batch_sizes[0], last])
    axes.plot(ends, first * ends[0] / ends, color="0.55", linestyle="--", linewidth=0.8, label="linear scaling")
    return float(first * ends[0] / last)


def _plot_normalised(axes: Axes, studies: pd.DataFrame, looks: Looks) -> None:
    """K* over K* at the smallest batch size that all sparsities have; hidden where they have none in common."""
    steps = curve.by_place(studies)
    shared = steps.dropna().index
    axes.set_visible(len(shared) > 0)
    if not len(shared):
        return
    ratios = steps / steps.loc[shared[0]]
    batch_sizes = steps.index[steps.index >= shared[0]].to_numpy(float)
    end = _plot_linear(axes, batch_sizes, 1.0, ratios.min(axis=None))
    for sparsity, ratio in ratios.items():
        known = ratio.dropna()
        label = sparsity_name(sparsity)
        axes.plot(known.index.to_numpy(float), known.to_numpy(float), label=label, **looks[sparsity])
        rows = studies[studies["sparsity"] == sparsity]
        fewer = known[known.index.isin(rows.loc[curve.has_fewer(rows), "batch_size"])]
        if not fewer.empty:
            curve.plot_fewer(axes, fewer.index.to_numpy(float), fewer.to_numpy(float), looks[sparsity])
    axes.set_title("normalised")
    axes.set_ylabel(f"K* / K* at batch size {shared[0]}")
    style.powers_of_two(axes, "y", [*ratios.to_numpy().flat, end])


def _caption(heading: str, studies: pd.DataFrame, pruning: str) -> str:
    parts = [f"{heading}, {named(pruning)} pruning.", _WHAT, curve.uprights(studies)]
    parts += [curve.fewer(curve.reached(studies)), curve.confirmed(studies), curve.left_out(studies)]
    return " ".join(part for part in parts if part)
