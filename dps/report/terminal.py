"""The table that ends a sweep: K* with the batch size down and the sparsity across."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dps.analysis.columns import GRID, PROTOCOL
from dps.protocol.outcome import STATUSES
from dps.report import wording
from dps.storage import confirmations, records

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
CONFIRMED = (
    "Confirmed: the median steps of the best configuration over fresh seeds, with its 95% interval (dps-confirm)."
)
Studies = Mapping[Path, "pd.DataFrame"]  # the trials by the study's folder, as records.read has them, one at least


def show(folders: Sequence[Path], console: Console | None = None) -> dict[Path, str]:
    """Prints K* of the studies in the folders, one table a protocol, but for those whose trials.csv is damaged.

    Returns what is wrong with these, by the folder as it was given.
    """
    from rich.console import Console
    from rich.text import Text

    console = console or Console()
    found: dict[tuple[Any, ...], dict[Path, pd.DataFrame]] = {}
    damaged: dict[Path, str] = {}
    for folder in folders:
        try:
            study = records.read(folder)
        except ValueError as error:
            damaged[folder] = str(error)
            continue
        if not study.empty:
            found.setdefault(tuple(study.iloc[0][list(PROTOCOL)]), {})[folder.resolve()] = study
    for key, studies in sorted(found.items(), key=lambda item: str(item[0])):
        console.print(Text(_title(key, list(found), studies.values()), style="bold"))
        console.print(k_star_table(studies))
    console.print(LEGEND if found else "No study has recorded a trial yet.", highlight=False)
    every = {folder: study for studies in found.values() for folder, study in studies.items()}
    if len({int(study["replicate"].iloc[0]) for study in every.values()}) > 1:
        console.print(REPLICATES, highlight=False)
    if any(confirmations.exists(folder) for folder in every):
        console.print(CONFIRMED, highlight=False)
    return damaged


def _title(key: tuple[Any, ...], keys: Sequence[tuple[Any, ...]], studies: Collection[pd.DataFrame]) -> str:
    protocol = dict(zip(PROTOCOL, key, strict=True))
    title = f"{protocol['workload']}: K*, the steps to a validation error of {protocol['goal_error']:g}, "
    title += wording.trials_a_study(map(len, studies))
    if (replicates := len({int(study["replicate"].iloc[0]) for study in studies})) > 1:
        title += f", {wording.counted([replicates], 'replicate')}"
    siblings = [dict(zip(PROTOCOL, other, strict=True)) for other in keys if other[0] == key[0]]
    different = [
        f"{name}={protocol[name]}"
        for name in PROTOCOL
        if name not in GRID and len({str(sibling[name]) for sibling in siblings}) > 1
    ]
    return "; ".join([title, *different])


def k_star_table(studies: Studies) -> Table:
    """K* of studies of one protocol."""
    from rich.table import Table
    from rich.text import Text

    cells: dict[tuple[int, float], dict[Path, pd.DataFrame]] = {}
    for folder, study in sorted(studies.items(), key=lambda item: int(item[1]["replicate"].iloc[0])):
        place = (int(study["batch_size"].iloc[0]), float(study["sparsity"].iloc[0]))
        cells.setdefault(place, {})[folder] = study
    sparsities = sorted({sparsity for _, sparsity in cells})
    table = Table(show_lines=True, show_edge=False)
    table.add_column("batch\nsize", justify="right", no_wrap=True)
    for sparsity in sparsities:
        table.add_column(wording.sparsity_name(sparsity), overflow="fold")
    for batch_size in sorted({batch_size for batch_size, _ in cells}):
        places = [cells.get((batch_size, sparsity), {}) for sparsity in sparsities]
        table.add_row(str(batch_size), *(Text("\n").join(_cell(replicates)) for replicates in places))
    return table


def _cell(replicates: Studies) -> Iterator[Text]:
    """K* over the replicates of a study, where there are several, what each of them found, and the confirmed K*."""
    from rich.text import Text

    frames = list(replicates.values())
    known = [steps for study in frames if (steps := records.k_star(study)) is not None]
    numbers = {int(study["replicate"].iloc[0]) for study in frames}
    if len(known) == len(numbers) == len(frames) > 1:
        from dps.analysis.pooled import geometric_mean

        mean, low, high = geometric_mean(known, int(frames[0]["interval_steps"].iloc[0]))
        yield Text.assemble((f"{mean:.0f}", "bold"), f" ({low:.0f} to {high:.0f})")
    for study in frames:
        yield from _found(study)
    for folder in filter(confirmations.exists, replicates):
        yield _confirmed(folder)


def _confirmed(folder: Path) -> Text:
    from rich.text import Text

    from dps.analysis.confirmed import confirmed

    if (row := confirmed(folder)) is None:
        return Text("not confirmed yet")
    middle = wording.shown("median_steps", row["median_steps"])
    interval = wording.interval("median_steps", row["median_low"], row["median_high"])
    arrived = f"{row['arrived']} of {row['seeds']} seeds in {row['max_steps']} steps"
    return Text.assemble("confirmed ", (middle, "bold"), f" ({', '.join(filter(None, [interval, arrived]))})")


def _found(study: pd.DataFrame) -> Iterator[Text]:
    from rich.text import Text

    winner = records.best(study)
    if winner is None:
        yield Text(wording.NOTHING)
    else:
        known = {name: winner[name] for name in records.metaparameters_of(study) if not wording.is_empty(winner[name])}
        yield Text(str(winner["steps_to_result"]), "bold")
        yield Text(" ".join(f"{name}={wording.metaparameter(value)}" for name, value in known.items()))
    yield Text("/".join(str((study["status"] == status).sum()) for status in STATUSES))
