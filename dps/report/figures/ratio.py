"""Figure 12: how many times the steps of the dense network a sparse one takes, against batch size."""

from collections.abc import Iterator, Mapping, Sequence

import pandas as pd

from dps.report.figures import curve, style
from dps.report.figures.style import Drawing, Look
from dps.report.figures.subject import Subject

_CAPTION = (
    "K* of the sparse network divided by K* of the dense one at the same batch size, for every workload. The line at "
    "1 is no difference; the band is the range that the paper gives for 90% sparsity, 1.5 to 4.5 (Lee et al., 2020, "
    "arXiv 2003.11316, Figure 12)."
)


def draw(subjects: Sequence[Subject], looks: Mapping[float, Look]) -> Iterator[Drawing]:
    """A panel for each workload that has a ratio; nothing where none has."""
    tables = [(subject, _ratios(subject)) for subject in subjects]
    tables = [(subject, table) for subject, table in tables if table.notna().any(axis=None)]
    if not tables:
        return
    columns = min(len(tables), 4)
    shape = (-(-len(tables) // columns), columns)
    figure, grid = style.panels("Steps-to-result, sparse over dense", *shape, height=1.9, sharey=True)
    for axes in list(grid.flat)[len(tables) :]:
        axes.set_visible(False)
    for (subject, table), axes in zip(tables, grid.flat, strict=False):
        if 0.9 in table.columns:
            axes.axhspan(1.5, 4.5, color="0.93", zorder=0, label="the paper's range at 90%")
        axes.axhline(1, color="0.4", linewidth=0.8, label="no difference")
        for sparsity, ratio in table.items():
            known = ratio.dropna()
            label = style.sparsity_name(sparsity)
            axes.plot(known.index.to_numpy(float), known.to_numpy(float), label=label, **looks[sparsity])
        heading = style.wrapped(subject.heading.removesuffix(" a study"), figure.get_figwidth() / columns)
        axes.set_title(heading).set_parse_math(False)
        axes.set_xlabel("batch size (examples)")
        style.powers_of_two(axes, "x", table.dropna(how="all").index)
    highest = max(float(table.max(axis=None)) for _, table in tables)
    grid.flat[0].set_ylim(0, max(5.0, 1.1 * highest))
    for axes in grid[:, 0]:
        axes.set_ylabel("K* sparse / K* dense")
    style.set_legend(figure, map(style.sparsity_name, looks))
    headings = "; ".join(subject.heading for subject, _ in tables)
    yield "sparse_over_dense", f"{_CAPTION} {headings}.", figure


def _ratios(subject: Subject) -> pd.DataFrame:
    """K* sparse over K* dense, a row a batch size and a column a sparsity above 0; NaN where one is unknown."""
    steps = curve.by_place(curve.reached(subject.rows))
    if 0 not in steps.columns:
        return pd.DataFrame()
    return steps.drop(columns=0).div(steps[0], axis=0).dropna(axis="columns", how="all")
