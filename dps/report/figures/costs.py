"""What the goal costs at each batch size: steps, examples and seconds of the best trial, in one figure."""

from collections.abc import Iterator, Mapping

import pandas as pd

from dps.analysis.columns import STUDY
from dps.analysis.pooled import geometric_mean
from dps.report.figures import curve, style
from dps.report.figures.style import Drawing, Look
from dps.report.figures.subject import Subject, named
from dps.report.wording import sparsity_name

KINDS = {"steps": "steps K*", "examples": "examples K* B", "seconds": "seconds of the best trial"}
_CAPTION = (
    "What it takes to reach the goal, against the batch size B: steps, the examples that they read, and the seconds of "
    "training of the best trial, its equal share of the time that all trials took together on the machine that "
    "trained them."
)


def draw(subject: Subject, studies: pd.DataFrame, looks: Mapping[float, Look]) -> Iterator[Drawing]:
    """Three panels with a line for each sparsity; nothing where no study reached the goal."""
    pooled = curve.reached(subject.rows)
    if pooled.empty:
        return
    costs = _costs(pooled, studies)
    figure, grid = style.panels(subject.heading, 1, len(KINDS), height=1.9)
    for (kind, label), axes in zip(KINDS.items(), grid.flat, strict=True):
        for sparsity, rows in costs.groupby("sparsity"):
            curve.plot(axes, rows, sparsity_name(float(sparsity)), looks[float(sparsity)], kind)
        axes.set_xlabel("batch size B (examples)")
        axes.set_ylabel(label)
        style.powers_of_two(axes, "x", costs["batch_size"])
        style.powers_of_two(axes, "y", curve.heights(costs, kind))
    style.set_legend(figure)
    caption = f"{subject.heading}, {named(subject.key['pruning'])} pruning. {_CAPTION} {curve.uprights(pooled)}"
    yield subject.name, " ".join(filter(None, (caption, curve.fewer(pooled)))), figure


def _costs(pooled: pd.DataFrame, studies: pd.DataFrame) -> pd.DataFrame:
    """The rows of the pooled studies with each kind of cost, and _low and _high of it."""
    costs = pooled.copy()
    for end in ("", "_low", "_high"):
        costs[f"steps{end}"] = costs[f"steps_to_result{end}"]
        costs[f"examples{end}"] = costs[f"steps{end}"] * costs["batch_size"]
    known = studies[(studies["state"] == "finished") & (studies["train_seconds"] > 0)]
    seconds = {key: geometric_mean(rows["train_seconds"].tolist()) for key, rows in known.groupby(list(STUDY))}
    nothing = (float("nan"),) * 3
    found = [seconds.get(tuple(key), nothing) for key in costs[list(STUDY)].itertuples(index=False)]
    costs[["seconds", "seconds_low", "seconds_high"]] = pd.DataFrame(found, index=costs.index)
    return costs
