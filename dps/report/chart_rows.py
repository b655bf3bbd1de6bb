"""What the page's Figure 1 draws: rows of plain values, each with the number and the name of its network."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from dps.protocol.metaparameters import Metaparameter
from dps.protocol.outcome import STATUSES
from dps.report.figures.curve import has_fewer
from dps.report.wording import counted, interval, is_empty, near_one, shown, sparsity_name

Rows = list[dict[str, Any]]
POINTS_OF_A_FIT = 40
NUMBERS = {  # of a point: the field, and its column of k_star.csv
    **{name: f"steps_to_result{end}" for name, end in (("steps", ""), ("low", "_low"), ("high", "_high"))},
    **{f"confirmed{end}": f"confirmed_steps{end}" for end in ("", "_low", "_high")},
}
TOLD = {  # of a point: the field, and what it is called
    "name": "network",
    "batch_size": "batch size",
    "told_steps": "K* (steps)",
    "told_fewer": "hollow mark",
    "told_interval": "95% interval",
    "told_best": "best trial",
    "told_trials": "trials",
    "told_confirmed": "confirmed K*",
    "told_seconds": "training (s)",
}


def points(studies: pd.DataFrame, replicates: pd.DataFrame, metaparameters: Sequence[Metaparameter]) -> Rows:
    """A row for each study of k_star.csv that has K* or a confirmed K*; `replicates` has the rows of study.csv.

    It is told `at` K* or, where that is empty, at the confirmed K*; it has `fewer` replicates than others of its curve.
    """
    found = []
    for network, of_network in _networks(studies):
        curve = of_network[of_network["steps_to_result"].notna()]
        hollow = set(curve.loc[has_fewer(curve), "batch_size"])
        for _, study in of_network.iterrows():
            same = [replicates[name] == study[name] for name in ("batch_size", "sparsity")]
            own = replicates[same[0] & same[1]]
            row = {**network, "batch_size": int(study["batch_size"]), "fewer": study["batch_size"] in hollow}
            row |= {"told_fewer": f"{counted([study['replicates']], 'replicate')}, others have more" * row["fewer"]}
            row |= {field: _number(study[column]) for field, column in NUMBERS.items()}
            row |= {"at": row["steps"] or row["confirmed"], **_told(study, own, metaparameters)}
            found.append(row | {"said": "; ".join(f"{title} {row[name]}" for name, title in TOLD.items() if row[name])})
    return found


def fits(studies: pd.DataFrame, theory: pd.DataFrame) -> Rows:
    """The fit of each network where one is known, between the batch sizes at which it was measured."""
    found = []
    for network, of_network in _curves(studies):
        fit = theory[theory["sparsity"] == of_network["sparsity"].iloc[0]]
        if len(fit) == 1 and np.isfinite(fit[["c1", "c2"]].to_numpy(float)).all():
            c1, c2 = (float(fit[name].iloc[0]) for name in ("c1", "c2"))
            first, last = (float(size) for size in of_network["batch_size"].iloc[[0, -1]])
            x = np.geomspace(first, last, POINTS_OF_A_FIT)
            found += [{**network, "batch_size": size, "steps": c1 / size + c2} for size in x.tolist()]
    return found


def linear(studies: pd.DataFrame) -> Rows:
    """The line of each network along which twice the batch takes half the steps, as far as Figure 1 has it."""
    least = float(studies["steps_to_result"].min()) / 2
    found = []
    for network, of_network in _curves(studies):
        first, last = (float(size) for size in of_network["batch_size"].iloc[[0, -1]])
        product = first * float(of_network["steps_to_result"].iloc[0])
        ends = (first, min(last, product / least))
        found += [{**network, "batch_size": size, "steps": product / size} for size in ends]
    return found


def _networks(studies: pd.DataFrame) -> Iterator[tuple[dict[str, Any], pd.DataFrame]]:
    """The number and the name of each network, and its studies by batch size."""
    for number, (sparsity, rows) in enumerate(studies.groupby("sparsity")):
        yield {"network": number, "name": sparsity_name(float(sparsity))}, rows.sort_values("batch_size")


def _curves(studies: pd.DataFrame) -> Iterator[tuple[dict[str, Any], pd.DataFrame]]:
    """As _networks, but of the studies that have K* alone, and without a network that has none."""
    for network, rows in _networks(studies):
        if not (reached := rows[rows["steps_to_result"].notna()]).empty:
            yield network, reached


def _told(study: pd.Series, replicates: pd.DataFrame, metaparameters: Sequence[Metaparameter]) -> dict[str, str]:
    """What is said of a point: "" for what is not known."""
    seconds = [value for value in replicates["train_seconds"] if not is_empty(value)]
    return {
        **_k_star(study),
        "told_best": ", ".join(filter(None, (_best(one, replicates, metaparameters) for one in metaparameters))),
        "told_trials": _trials(replicates),
        "told_confirmed": _confirmed(study),
        "told_seconds": ", ".join(shown("", float(value)) for value in seconds),
    }


def _k_star(study: pd.Series) -> dict[str, str]:
    count = counted([study["replicates"]], "replicate")
    if is_empty(study["steps_to_result"]):
        return {"told_steps": f"none: {study['reached']} of {count} reached the goal", "told_interval": ""}
    steps = shown("steps_to_result", float(round(study["steps_to_result"])))
    ends = [_number(study[f"steps_to_result{end}"]) for end in ("_low", "_high")]
    return {
        "told_steps": steps + (f" (geometric mean of {count})" if study["replicates"] > 1 else ""),
        "told_interval": interval("", *(end and round(end) for end in ends)) or "none: it needs two replicates",
    }


def _best(one: Metaparameter, replicates: pd.DataFrame, metaparameters: Sequence[Metaparameter]) -> str:
    """A metaparameter of the best trial of each replicate, for example "lr 0.00316 / 0.01"."""
    values = [value for value in replicates.get(one.name, []) if not is_empty(value)]
    precise = near_one(metaparameters)
    return f"{one.name} {' / '.join(shown(one.name, value, precise) for value in values)}" if values else ""


def _trials(replicates: pd.DataFrame) -> str:
    counts = {status: int(replicates[status].sum()) for status in STATUSES if status in replicates}
    parts = ", ".join(f"{count} {status}" for status, count in counts.items() if count)
    return f"{replicates['trials'].sum()}: {parts}" if parts else ""


def _confirmed(study: pd.Series) -> str:
    if is_empty(study["fresh_seeds"]):
        return ""
    ends = interval("", study["confirmed_steps_low"], study["confirmed_steps_high"])
    steps = "not reached by half" if is_empty(study["confirmed_steps"]) else f"{study['confirmed_steps']}"
    return f"{steps}{f' ({ends})' if ends else ''}, {study['fresh_seeds']} fresh seeds"


def _number(value: Any) -> float | None:
    return None if is_empty(value) else float(value)
