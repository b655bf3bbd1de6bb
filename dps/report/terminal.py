"""The table that ends a sweep: K* with the batch size down and the sparsity across."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dps.storage import records

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

# Studies that differ in one of these are not points of one grid.
GRID = (
    "workload",
    "dataset",
    "model",
    "optimizer",
    "lr_schedule",
    "pruning",
    "goal_error",
    "interval_steps",
    "max_steps",
)
LEGEND = (
    f"In each cell: K*, the metaparameters of the best trial, and how many trials are {' / '.join(records.STATUSES)}; "
    "- means goal not reached."
)


def show(folders: Sequence[Path], console: Console | None = None) -> None:
    """Prints K* of the studies in the folders, one table a grid; ValueError where a trials.csv is damaged."""
    from rich.console import Console
    from rich.text import Text

    console = console or Console()
    grids: dict[tuple[Any, ...], list[pd.DataFrame]] = {}
    for folder in dict.fromkeys(Path(folder).resolve() for folder in folders):
        study = records.read(folder)
        if not study.empty:
            grids.setdefault(tuple(study.iloc[0][list(GRID)]), []).append(study)
    for key, studies in sorted(grids.items(), key=lambda item: str(item[0])):
        console.print(Text(_title(key, list(grids), studies), style="bold"))
        console.print(_table(studies))
    console.print(LEGEND if grids else "No study has recorded a trial yet.", highlight=False)


def _title(key: tuple[Any, ...], keys: Sequence[tuple[Any, ...]], studies: Sequence[pd.DataFrame]) -> str:
    grid = dict(zip(GRID, key, strict=True))
    trials = sorted({len(study) for study in studies})
    count = str(trials[0]) if len(trials) == 1 else f"{trials[0]} to {trials[-1]}"
    title = f"{grid['workload']}: K*, the steps to a validation error of {grid['goal_error']:g}, "
    title += f"{count} {'trial' if trials == [1] else 'trials'} a study"
    siblings = [dict(zip(GRID, other, strict=True)) for other in keys if other[0] == key[0]]
    named = ("workload", "goal_error")
    different = [
        f"{name}={grid[name]}"
        for name in GRID
        if name not in named and len({str(sibling[name]) for sibling in siblings}) > 1
    ]
    return "; ".join([title, *different])


def _table(studies: Sequence[pd.DataFrame]) -> Table:
    from rich.table import Table
    from rich.text import Text

    cells: dict[tuple[int, float], list[Text]] = {}
    for study in studies:
        place = (int(study["batch_size"].iloc[0]), float(study["sparsity"].iloc[0]))
        cells.setdefault(place, []).append(_cell(study))
    sparsities = sorted({sparsity for _, sparsity in cells})
    table = Table(show_lines=True)
    table.add_column("batch size", justify="right", no_wrap=True)
    for sparsity in sparsities:
        table.add_column(f"{100 * sparsity:.6g}% sparse" if sparsity else "dense", overflow="fold")
    for batch_size in sorted({batch_size for batch_size, _ in cells}):
        row = [Text("\n").join(cells.get((batch_size, sparsity), [])) for sparsity in sparsities]
        table.add_row(str(batch_size), *row)
    return table


def _cell(study: pd.DataFrame) -> Text:
    from rich.text import Text

    winner = records.best(study)
    counts = "/".join(str((study["status"] == status).sum()) for status in records.STATUSES)
    if winner is None:
        return Text(f"-\n{counts}")
    values = [f"{name}={_number(name, winner[name])}" for name in records.OPTIONS if not _is_empty(winner[name])]
    return Text.assemble((str(winner["steps_to_result"]), "bold"), "\n", " ".join(values), "\n", counts)


def _is_empty(value: Any) -> bool:
    import pandas as pd

    return bool(pd.isna(value))


def _number(name: str, value: float) -> str:
    """Three significant digits, and for a momentum near 1 two of its distance to 1."""
    if name == "decay_steps":
        return str(value)
    if name == "momentum" and 0.9 < value < 1:
        decimals = max(3, math.ceil(-math.log10(1 - value)) + 1)
        return f"{value:.{decimals}f}".rstrip("0")
    return f"{value:.3g}"
