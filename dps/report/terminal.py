"""The table that ends a sweep: K* with the batch size down and the sparsity across."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
REPLICATES = "Above them, of a study that is repeated: the geometric mean of its replicates' K* and its 95% interval."


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
    if any(study["replicate"].max() > 0 for studies in found.values() for study in studies):
        console.print(REPLICATES, highlight=False)


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

    cells: dict[tuple[int, float], list[pd.DataFrame]] = {}
    for study in sorted(studies, key=lambda study: int(study["replicate"].iloc[0])):
        place = (int(study["batch_size"].iloc[0]), float(study["sparsity"].iloc[0]))
        cells.setdefault(place, []).append(study)
    sparsities = sorted({sparsity for _, sparsity in cells})
    table = Table(show_lines=True)
    table.add_column("batch size", justify="right", no_wrap=True)
    for sparsity in sparsities:
        table.add_column(wording.sparsity_name(sparsity), overflow="fold")
    for batch_size in sorted({batch_size for batch_size, _ in cells}):
        places = [cells.get((batch_size, sparsity), []) for sparsity in sparsities]
        table.add_row(str(batch_size), *(Text("\n").join(_cell(replicates)) for replicates in places))
    return table


def _cell(replicates: Sequence[pd.DataFrame]) -> Iterator[Text]:
    """K* over the replicates of a study, where there are several, and what each of them found."""
    from rich.text import Text

    winners = [records.best(study) for study in replicates]
    known = [int(winner["steps_to_result"]) for winner in winners if winner is not None]
    numbers = {int(study["replicate"].iloc[0]) for study in replicates}
    if len(known) == len(numbers) == len(replicates) > 1:
        from dps.analysis.pooled import geometric_mean

        mean, low, high = geometric_mean(known, int(replicates[0]["interval_steps"].iloc[0]))
        yield Text.assemble((f"{mean:.0f}", "bold"), f" ({low:.0f} to {high:.0f})")
    for study, winner in zip(replicates, winners, strict=True):
        yield from _found(study, winner)


def _found(study: pd.DataFrame, winner: pd.Series[Any] | None) -> Iterator[Text]:
    from rich.text import Text

    if winner is None:
        yield Text(wording.NOTHING)
    else:
        known = {name: winner[name] for name in records.metaparameters_of(study) if not wording.is_empty(winner[name])}
        yield Text(str(winner["steps_to_result"]), "bold")
        yield Text(" ".join(f"{name}={wording.metaparameter(value)}" for name, value in known.items()))
    yield Text("/".join(str((study["status"] == status).sum()) for status in STATUSES))
