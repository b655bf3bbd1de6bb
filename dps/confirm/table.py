"""The table that ends a confirmation: beside K* of each search, what its best configuration does with fresh seeds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
from rich.console import Console
from rich.table import Table

from dps.analysis.confirmed import confirmed
from dps.analysis.pooled import geometric_mean
from dps.confirm.confirmation import Confirmation
from dps.report import wording
from dps.report.headings import headings
from dps.storage import confirmations

LEGEND = (
    "K* is the least steps among the trials of a search, of several replicates their geometric mean. The confirmed K* "
    "is the median steps over fresh seeds, of that configuration whose median is least; a seed that does not arrive "
    "counts as infinite. Intervals are of 95%. confirm.csv in a study's folder has every configuration."
)


def show(studies: Sequence[Confirmation], console: Console | None = None) -> None:
    """Prints a table for each workload and goal, and for each sweep, a row for each study."""
    console = console or Console(highlight=False)
    tables: dict[str, Table] = {}
    ordered = sorted(studies, key=lambda one: (one.cfg.sparsity, one.cfg.batch_size))
    for one, title in zip(ordered, headings([(one.cfg, one.folder) for one in ordered]), strict=True):
        tables.setdefault(title, _empty()).add_row(*_row(one))
    for title, table in tables.items():
        console.print(title, style="bold")
        console.print(table)
    console.print(LEGEND)


def _empty() -> Table:
    table = Table(show_lines=True)
    for name in ("batch size", "network", "K*", "confirmed K*", "seeds that arrive"):
        table.add_column(name, justify="left" if name in ("network", "seeds that arrive") else "right")
    table.add_column("best configuration", no_wrap=True)  # its values are words too long to be broken
    return table


def _row(one: Confirmation) -> list[str]:
    row = confirmed(one.folder)
    assert row is not None, "it has just been trained"
    network = wording.sparsity_name(one.cfg.sparsity)
    return [str(one.cfg.batch_size), network, _k_star(one), _median(row), _success(row), _configuration(one, row)]


def _k_star(one: Confirmation) -> str:
    """That of the search, or of its replicates: the geometric mean with its interval, and each."""
    found = [wording.shown("steps_to_result", steps) for steps in one.k_stars]
    known = [steps for steps in one.k_stars if steps is not None]
    if len(known) == len(found) > 1:
        mean, low, high = geometric_mean(known, one.cfg.goal.interval_steps)
        found = [f"{mean:.0f}", f"{low:.0f} to {high:.0f}", f"({', '.join(found)})"]
    return "\n".join(found)


def _median(row: pd.Series[Any]) -> str:
    middle = wording.shown("median_steps", row["median_steps"])
    return f"{middle}\n{wording.interval('median_steps', row['median_low'], row['median_high'])}"


def _success(row: pd.Series[Any]) -> str:
    low, high = row["success_low"], row["success_high"]
    return f"{row['arrived']} of {row['seeds']}\n{low:.0%} to {high:.0%}\nin {row['max_steps']} steps"


def _configuration(one: Confirmation, row: pd.Series[Any]) -> str:
    names = confirmations.metaparameters_of(one.configurations)
    values = [f"{name}={wording.metaparameter(row[name])}" for name in names]
    replicate = [f"of replicate {row['replicate']}"] if len(one.k_stars) > 1 else []
    return "\n".join([*values, f"trial {row['trial']}", *replicate])
