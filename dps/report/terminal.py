"""The table that ends a sweep: K* with the batch size down and the sparsity across."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dps.analysis.columns import GRID, PROTOCOL
from dps.protocol.outcome import STATUSES
from dps.report import wording
from dps.storage import records

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

LEGEND = (
    f"In each cell: K*, the metaparameters of the best trial, and how many trials are {' / '.join(STATUSES)}; "
    "- means goal not reached."
)


def show(folders: Sequence[Path], console: Console | None = None) -> None:
    """Prints K* of the studies in the folders, one table a protocol; ValueError where a trials.csv is damaged."""
    from rich.console import Console
    from rich.text import Text

    console = console or Console()
    found: dict[tuple[Any, ...], list[pd.DataFrame]] = {}
    for folder in dict.fromkeys(Path(folder).resolve() for folder in folders):
        study = records.read(folder)
        if not study.empty:
            found.setdefault(tuple(study.iloc[0][list(PROTOCOL)]), []).append(study)
    for key, studies in sorted(found.items(), key=lambda item: str(item[0])):
        console.print(Text(_title(key, list(found), studies), style="bold"))
        console.print(k_star_table(studies))
    console.print(LEGEND if found else "No study has recorded a trial yet.", highlight=False)


def _title(key: tuple[Any, ...], keys: Sequence[tuple[Any, ...]], studies: Sequence[pd.DataFrame]) -> str:
    protocol = dict(zip(PROTOCOL, key, strict=True))
    title = f"{protocol['workload']}: K*, the steps to a validation error of {protocol['goal_error']:g}, "
    title += wording.trials_a_study(map(len, studies))
    siblings = [dict(zip(PROTOCOL, other, strict=True)) for other in keys if other[0] == key[0]]
    different = [
        f"{name}={protocol[name]}"
        for name in PROTOCOL
        if name not in GRID and len({str(sibling[name]) for sibling in siblings}) > 1
    ]
    return "; ".join([title, *different])


def k_star_table(studies: Sequence[pd.DataFrame]) -> Table:
    """K* of studies of one protocol, each a frame of at least one trial as records.read has it."""
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
        table.add_column(wording.sparsity_name(sparsity), overflow="fold")
    for batch_size in sorted({batch_size for batch_size, _ in cells}):
        row = [Text("\n").join(cells.get((batch_size, sparsity), [])) for sparsity in sparsities]
        table.add_row(str(batch_size), *row)
    return table


def _cell(study: pd.DataFrame) -> Text:
    from rich.text import Text

    winner = records.best(study)
    counts = "/".join(str((study["status"] == status).sum()) for status in STATUSES)
    if winner is None:
        return Text(f"{wording.NOTHING}\n{counts}")
    known = {name: winner[name] for name in records.metaparameters_of(study) if not wording.is_empty(winner[name])}
    values = [f"{name}={wording.metaparameter(value)}" for name, value in known.items()]
    return Text.assemble((str(winner["steps_to_result"]), "bold"), "\n", " ".join(values), "\n", counts)
