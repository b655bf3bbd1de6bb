"""The question's answer as far as a report's results give it: two sentences, on the batch size and on the sparsity."""

from collections.abc import Sequence

import pandas as pd

from dps.analysis.columns import GRID
from dps.analysis.pooled import RATIO, over_dense
from dps.analysis.results import Results
from dps.report.figures import curve
from dps.report.figures.subject import Subject, subjects
from dps.report.wording import counted, is_empty, sparsity_name, trials_a_study

K = "steps_to_result"


def answer(results: Results) -> tuple[str, str]:
    """What K* does with the batch size, and with the sparsity."""
    finished = results.k_star[results.k_star["state"] == "finished"]
    members = [subject for subject in subjects(finished) if _reached(subject)]
    if not members:
        return "No finished study has reached its goal yet.", "What batch size and sparsity do is not known."
    return _of_batch_size(members), _of_sparsity(members, results.studies)


def _reached(subject: Subject) -> bool:
    return not curve.reached(subject.rows).empty


def _of_batch_size(members: Sequence[Subject]) -> str:
    """Subjects that differ in the pruning alone have the least sparse network in common, and count once."""
    apart = list({tuple(subject.key[name] for name in GRID): subject for subject in members}.values())
    if len(apart) == 1:
        return _of_one(apart[0])
    several = [ends for ends in map(_ends, apart) if ends["batch_size"].nunique() > 1]
    if not several:
        return f"Each of {len(apart)} workloads was measured at one batch size."
    ratios = [float(ends[K].iloc[0] / ends[K].iloc[1]) for ends in several]
    return (
        f"In {len(several)} workloads, K* of the least sparse network at the largest batch size is that at the "
        f"smallest divided by {_span(ratios)}."
    )


def _of_one(subject: Subject) -> str:
    first, last = (row for _, row in _ends(subject).iterrows())
    network, trials = sparsity_name(float(first["sparsity"])), trials_a_study(subject.rows["trials"])
    found = (
        f"{subject.title}: the {network} network comes down to an error of {subject.key['goal_error']:g} in "
        f"{_steps(first)} at batch size {first['batch_size']}"
    )
    if first["batch_size"] == last["batch_size"]:
        return f"{found}, the only one measured ({trials})."
    return f"{found} and in {_steps(last)} at {last['batch_size']} ({trials}{_replicates(subject)})."


def _of_sparsity(members: Sequence[Subject], studies: pd.DataFrame) -> str:
    """Of the sparsest network of each subject that stands beside the dense one, from the rows of study.csv."""
    found = [ratios for subject in members if not (ratios := over_dense(subject.of(studies))).empty]
    if not found:
        return "No sparse network stands beside a dense one yet."
    sparsest = pd.concat([ratios[ratios["sparsity"] == ratios["sparsity"].max()] for ratios in found])
    network = sparsity_name(float(sparsest["sparsity"].iloc[0])) if sparsest["sparsity"].nunique() == 1 else "sparsest"
    where = f", over {len(sparsest)} batch sizes" if len(members) == 1 and len(sparsest) > 1 else ""
    ends = sparsest.sort_values("ratio").iloc[[0, -1]]
    times = " to ".join(dict.fromkeys(_times(ratio) for _, ratio in ends.iterrows()))
    how = ", the geometric mean over replicates and its 95% interval" if ends["ratio_low"].notna().any() else ""
    return f"At the same batch size, the {network} network takes {times} times the steps of the dense one{where}{how}."


def _times(row: pd.Series) -> str:
    ratio, low, high = (_short(row[name]) for name in RATIO)
    return ratio if is_empty(row["ratio_low"]) else f"{ratio} ({low} to {high})"


def _ends(subject: Subject) -> pd.DataFrame:
    """The studies of the least sparse network at the smallest and at the largest batch size, a row each."""
    studies = curve.reached(subject.rows)
    return studies[studies["sparsity"] == studies["sparsity"].min()].iloc[[0, -1]]


def _steps(study: pd.Series) -> str:
    steps, low, high = (study[f"{K}{end}"] for end in ("", "_low", "_high"))
    return f"{steps:.0f} steps" + ("" if is_empty(low) else f" ({low:.0f} to {high:.0f})")


def _replicates(subject: Subject) -> str:
    count = subject.rows["replicates"]
    return "" if count.max() == 1 else f", the geometric mean of {counted(count, 'replicate')} and its 95% interval"


def _span(values: Sequence[float]) -> str:
    low, high = _short(min(values)), _short(max(values))
    return low if low == high else f"{low} to {high}"


def _short(value: float) -> str:
    return f"{value:.2g}" if value < 10 else f"{value:.0f}"
