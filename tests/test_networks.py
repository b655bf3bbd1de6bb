"""The rule that a dense network is the same under any pruning criterion."""

import pandas as pd

from dps.analysis.networks import criteria, networks, of_criterion, of_judged_criterion, recorded_with

ROWS = pd.DataFrame(
    {
        "pruning": ["snip", "grasp", "snip", "grasp", "random"],
        "sparsity": [0.0, 0.0, 0.9, 0.9, 0.0],
        "batch_size": [4, 4, 4, 4, 8],
    },
    index=[10, 11, 12, 13, 14],
)


def test_a_dense_network_has_no_criterion() -> None:
    assert networks(ROWS) == [(0.0, ""), (0.0, ""), (0.9, "snip"), (0.9, "grasp"), (0.0, "")]
    assert criteria(ROWS) == ["grasp", "snip"] and criteria(ROWS[ROWS["sparsity"] == 0]) == []


def test_dense_rows_belong_to_every_criterion() -> None:
    assert list(of_criterion(ROWS, "snip").index) == [10, 11, 12, 14]


def test_those_recorded_with_the_criterion_stand_for_others() -> None:
    same = ["sparsity", "batch_size"]
    assert list(recorded_with(of_criterion(ROWS, "snip"), "snip", same).index) == [10, 12, 14]
    assert list(recorded_with(of_criterion(ROWS, "grasp"), "grasp", same).index) == [11, 13, 14]


def test_a_workload_is_judged_by_one_criterion() -> None:
    """SNIP's where it has them, else the first by the alphabet; dense networks belong to it."""
    of = {"with": ROWS, "without": ROWS.assign(pruning=ROWS["pruning"].replace("snip", "synflow")), "dense": ROWS[:2]}
    found = of_judged_criterion(pd.concat([rows.assign(workload=name) for name, rows in of.items()]))
    kept = {name: rows["pruning"][rows["sparsity"] > 0].tolist() for name, rows in found.groupby("workload")}
    assert kept == {"dense": [], "with": ["snip"], "without": ["grasp"]}
    assert (found["sparsity"] == 0).groupby(found["workload"]).sum().tolist() == [2, 3, 3]
