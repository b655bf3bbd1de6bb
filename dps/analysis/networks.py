"""Which network a row is about: the sparsity, and the criterion that pruned to it.

A dense network is the same under any pruning criterion, so that its rows belong to every criterion. All frames here
have the columns `pruning` and `sparsity`.
"""

from collections.abc import Sequence

import pandas as pd

JUDGED = "snip"  # the criterion of the reference study
Network = tuple[float, str]  # the sparsity, and the criterion: "" for a dense network


def networks(rows: pd.DataFrame) -> list[Network]:
    """The network of each row."""
    columns = (rows["sparsity"].astype(float), rows["pruning"])
    return [(sparsity, pruning if sparsity else "") for sparsity, pruning in zip(*columns, strict=True)]


def criteria(rows: pd.DataFrame) -> list[str]:
    """The criteria that pruned any of the rows' networks, sorted; none where all are dense."""
    return sorted(set(rows["pruning"][rows["sparsity"] > 0]))


def of_criterion(rows: pd.DataFrame, criterion: str) -> pd.DataFrame:
    """The rows of networks that the criterion pruned, and of dense ones."""
    return rows[(rows["pruning"] == criterion) | (rows["sparsity"] == 0)]


def of_judged_criterion(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of dense networks, and of each workload those that JUDGED pruned, or else the first criterion it has."""
    judged_first = rows[rows["sparsity"] > 0].sort_values("pruning", key=lambda names: names.where(names != JUDGED, ""))
    criterion = judged_first.drop_duplicates("workload").set_index("workload")["pruning"]
    return rows[(rows["sparsity"] == 0) | (rows["pruning"] == rows["workload"].map(criterion))]


def recorded_with(rows: pd.DataFrame, criterion: str, same: Sequence[str]) -> pd.DataFrame:
    """Of rows that agree in the columns `same` one, that recorded with the criterion where there is one; in order."""
    others_last = rows.iloc[(rows["pruning"] != criterion).to_numpy().argsort(kind="stable")]
    return others_last.drop_duplicates(list(same)).sort_index()
