"""Figure 12: how many times the steps of the dense network a sparse one takes, against batch size."""

from collections.abc import Iterator, Mapping, Sequence

import pandas as pd

from dps.analysis.claims.claim import AT_SPARSE, SPARSE
from dps.analysis.claims.steps_ratio import TIMES_LEAST, TIMES_MOST
from dps.analysis.pooled import over_dense
from dps.report.figures import curve, style
from dps.report.figures.style import Drawing, Look
from dps.report.figures.subject import Subject
from dps.report.wording import sparsity_name

REACH = 2.5  # times beyond the highest ratio to which the frame follows the intervals
_CAPTION = (
    "K* of the sparse network divided by K* of the dense one at the same batch size, for every workload: the geometric "
    "mean over the replicates that both have, and nothing where one of these did not reach the goal. The line at "
    f"1 is no difference; the band is the range that the paper gives for {AT_SPARSE} sparsity, {TIMES_LEAST} to "
    f"{TIMES_MOST} (Lee et al., 2020, arXiv 2003.11316, Figure 12)."
)


def draw(subjects: Sequence[Subject], studies: pd.DataFrame, looks: Mapping[float, Look]) -> Iterator[Drawing]:
    """A panel for each workload that has a ratio, from the rows of study.csv; nothing where none has."""
    found = [(subject, over_dense(subject.of(studies))) for subject in subjects]
    found = [(subject, ratios) for subject, ratios in found if not ratios.empty]
    if not found:
        return
    figure, grid = style.panels_of("Steps-to-result, sparse over dense", len(found), height=1.9, sharey=True)
    for (subject, ratios), axes in zip(found, grid.flat, strict=False):
        if (ratios["sparsity"] == SPARSE).any():
            axes.axhspan(TIMES_LEAST, TIMES_MOST, color="0.93", zorder=0, label=f"the paper's range at {AT_SPARSE}")
        axes.axhline(1, color="0.4", linewidth=0.8, label="no difference")
        for sparsity, rows in ratios.groupby("sparsity"):
            curve.plot(axes, rows, sparsity_name(sparsity), looks[sparsity], "ratio")
        heading = style.wrapped(subject.heading.removesuffix(" a study"), figure.get_figwidth() / grid.shape[1])
        axes.set_title(heading).set_parse_math(False)
        axes.set_xlabel("batch size (examples)")
        style.powers_of_two(axes, "x", ratios["batch_size"])
    everything = pd.concat([ratios.assign(workload=subject.name) for subject, ratios in found])
    highest = float(everything["ratio"].max())
    reach = float(everything["ratio_high"].clip(highest, REACH * highest).max())
    grid.flat[0].set_ylim(0, max(5.0, 1.1 * highest, 1.05 * reach))
    for axes in grid[:, 0]:
        axes.set_ylabel("K* sparse / K* dense")
    style.set_legend(figure, map(sparsity_name, looks))
    headings = "; ".join(subject.heading for subject, _ in found)
    parts = [_CAPTION, curve.uprights(everything, "ratio"), curve.fewer(everything), f"{headings}."]
    yield "sparse_over_dense", " ".join(filter(None, parts)), figure
