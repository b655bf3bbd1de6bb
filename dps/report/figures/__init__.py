"""The figures of the reference study, by its own numbers, and two of our own, of whatever results there are."""

from collections.abc import Collection, Iterator, Sequence

import matplotlib
from matplotlib.figure import Figure

from dps.analysis.columns import STUDY
from dps.analysis.results import Results
from dps.analysis.searched import ranges
from dps.report.figures import (
    costs,
    courses,
    criteria,
    learning_rate,
    metaparameters,
    optimizers,
    paper,
    ratio,
    scaling,
    style,
)
from dps.report.figures.style import Drawing
from dps.report.figures.subject import families, network_looks, subjects

COSTS, CRITERIA = "costs", "criteria"
OWN = (COSTS, CRITERIA)
NUMBERS = (*map(str, range(1, 19)), *OWN)  # of the paper, and our own


def draw(results: Results, numbers: Sequence[str]) -> Iterator[tuple[str, str, Figure]]:
    """The file's stem, caption and figure of each figure asked for that there are data for, in the paper's order.

    Unfinished studies are left out. ValueError names a figure that is not one of NUMBERS. The look is set in
    matplotlib's parameters of the process, since fonts are embedded when a figure is saved.
    """
    if unknown := [number for number in numbers if number not in NUMBERS]:
        raise ValueError(f"figure {unknown[0]!r} is not known; the figures are {', '.join(NUMBERS)}")
    matplotlib.rcParams.update(style.PARAMETERS)
    return _named(sorted(_drawings(results, numbers), key=lambda drawing: NUMBERS.index(drawing[0])), numbers)


def _drawings(results: Results, asked: Collection[str]) -> Iterator[tuple[str, Iterator[Drawing]]]:
    """The number and the drawings, not yet made, of all that could be shown.

    Figures 7 to 11 show all optimizers: with one alone they would repeat Figure 1, and are left out where that is
    asked for. Trials that the paper shows in one of the Figures 13 to 18 are Figure 3 where that is not asked for.
    """
    workloads = subjects(results.k_star[results.k_star["state"] == "finished"])
    done = results.studies.loc[results.studies["state"] == "finished", [*STUDY, "replicate"]]
    finished = results.trials.merge(done)
    looks = network_looks(results)
    for workload in workloads:
        own = paper.trials_number(workload.key)
        yield "1", scaling.draw_one(workload, results.theory, looks)
        trials = workload.of(finished)
        searched = ranges(workload.of(results.studies)["space"], results.metaparameters)
        yield own if own in asked else "3", metaparameters.draw(workload, trials, results.metaparameters, searched)
        yield "4", learning_rate.draw(workload, trials, searched)
        yield COSTS, costs.draw(workload, results.studies, looks)
    for family in families(workloads):
        number = paper.scaling_number(family.key)
        yield "2", optimizers.draw(family)
        if number and (len(family.subjects) > 1 or "1" not in asked):
            yield number, scaling.draw_all(family, results.theory, looks)
    yield from ((CRITERIA, criteria.draw(family)) for family in families(workloads, "pruning"))
    yield from (("5", courses.draw_smoothness(subject, looks)) for subject in subjects(results.smoothness))
    yield from (("6", courses.draw_losses(subject, looks)) for subject in subjects(results.curves))
    yield "12", ratio.draw(workloads, results.studies, looks)


def _named(drawings: Sequence[tuple[str, Iterator[Drawing]]], asked: Collection[str]) -> Iterator[Drawing]:
    for number, of_number in drawings:
        if number in asked:
            for name, caption, figure in of_number:
                figure.draw_without_rendering()  # settles the layout once, not again for each file it is saved to
                figure.set_layout_engine("none")
                yield f"figure_{number}_{name}", caption if number in OWN else f"Figure {number}. {caption}", figure
