"""All trials as a table that the page's script fills, filters and sorts: plain values, to be written as JSON."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from pandas.api.types import is_numeric_dtype

from dps.analysis.columns import REPLICATE
from dps.analysis.results import Results
from dps.report.links import on_the_web
from dps.report.tables import HEADERS, filled
from dps.report.wording import is_empty, near_one

PLACE = ("workload", "goal_error", "pruning", "batch_size", "sparsity", "replicate")  # said where it differs
FILTERS = (*PLACE, "status")
OUTCOME = ("status", "steps_to_result", "steps_run")
MEASURED = ("validation_error", "test_error", "train_seconds")
DIGITS = 6  # significant, that the page's data have
HEADER = {"steps_to_result": "steps to goal"}


def trials(results: Results) -> Mapping[str, Any]:
    """The columns, the rows, and the values of each column that the page filters by.

    A cell holds a number, a text, null, or of a run of Weights & Biases its name and its address.
    """
    frame = results.trials.merge(results.studies[[*REPLICATE, "folder"]], on=list(REPLICATE), how="left")
    frame = frame.sort_values([*PLACE, "trial"])
    place = [name for name in PLACE if frame[name].nunique() > 1]
    names = [one.name for one in results.metaparameters if one.name in frame]
    columns = filled(frame, [*place, "trial", *OUTCOME, *names, *MEASURED])
    precise = near_one(results.metaparameters)
    rows = [[_plain(value) for value in row] for row in frame[columns].itertuples(index=False)]
    heads = [
        {
            "header": HEADER.get(name, HEADERS.get(name, name.replace("_", " "))),
            "numeric": is_numeric_dtype(frame[name]),
            "digits": 4 if name in precise else 3,
        }
        for name in columns
    ]
    if not results.runs.empty:
        found = {(run.folder, run.trial): [run.run_id, on_the_web(run.url)] for run in results.runs.itertuples()}
        heads.append({"header": "W&B run", "numeric": False, "digits": 0})
        for row, key in zip(rows, zip(frame["folder"], frame["trial"].astype(str), strict=True), strict=True):
            row.append(found.get(key))
    return {"columns": heads, "rows": rows, "filters": _filters(columns, rows)}


def _filters(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[dict[str, Any]]:
    """For each column with several values to choose from its number, and these values in order."""
    found = []
    for name in FILTERS:
        if name in columns:
            at = columns.index(name)
            values = sorted({row[at] for row in rows})
            found += [{"column": at, "values": values}] if len(values) > 1 else []
    return found


def _plain(value: Any) -> Any:
    if is_empty(value):
        return None
    value = value.item() if isinstance(value, np.generic) else value
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value
