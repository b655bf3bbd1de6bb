"""The table that ends a reproduction: beside K* of each record, that of the same trials trained again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from dps.analysis.replicates import home
from dps.analysis.reproduced import AGREE
from dps.report import wording
from dps.report.headings import headings
from dps.reproduce.reproduction import Reproduction

LEGEND = (
    "same: every trial ended as recorded, in every column but the seconds. With other versions, threads, or another "
    "device, another K* agrees if it lies where one more replicate would, with a probability of 95%."
)


def show(studies: Sequence[Reproduction], console: Console | None = None) -> bool:
    """Prints a table for each workload and goal, and for each sweep, a row for each study; whether all agree."""
    console = console or Console(highlight=False)
    tables: dict[str, Table] = {}
    places = [(one.study.cfg, home(one.recorded.path)) for one in studies]
    for one, (cfg, _), title in zip(studies, places, headings(places), strict=True):
        network = wording.sparsity_name(cfg.sparsity)
        k_stars = (wording.shown("steps_to_result", steps) for steps in (one.comparison.before, one.comparison.now))
        row = (str(cfg.batch_size), network, str(cfg.replicate), *k_stars, _words(one))
        tables.setdefault(title, _empty()).add_row(*row)
    for title, table in tables.items():
        console.print(title, style="bold")
        console.print(table)
    console.print(LEGEND)
    by_environment = Counter(_environment(one) for one in studies)
    for line, count in by_environment.items():
        where = f" ({count} of {len(studies)} studies)" if len(by_environment) > 1 else ""
        console.print(f"Environment{where}: {line}.")
    verdicts = Counter(one.comparison.verdict for one in studies)
    agree = sum(verdicts[verdict] for verdict in AGREE)
    noun = "study agrees" if len(studies) == 1 else "studies agree"
    parts = ", ".join(f"{count} {verdict}" for verdict, count in verdicts.items())
    console.print(f"{agree} of {len(studies)} {noun} with the record: {parts}.", style="bold")
    return agree == len(studies)


def _empty() -> Table:
    table = Table(show_lines=True)
    for name in ("batch size", "network", "replicate", "recorded K*", "K* now", "verdict"):
        table.add_column(name, justify="left" if name in ("network", "verdict") else "right")
    return table


def _words(one: Reproduction) -> str:
    """The verdict, and what it stands on."""
    found = one.comparison
    interval = f"{found.low:.0f} to {found.high:.0f}"
    unknown = "one replicate has no interval" if len(one.k_stars) == 1 else "a replicate did not reach the goal"
    reasons = {
        "same": "",
        "same K*": f"{found.otherwise} of {found.trials} trials end otherwise",
        "within interval": interval,
        "differs": "on the same software" if one.is_same_software else f"not within {interval}",
        "cannot tell": unknown,
    }
    return "\n".join(filter(None, [found.verdict, reasons[found.verdict]]))


def _environment(one: Reproduction) -> str:
    """In what it differs from that recorded."""
    if not one.recorded.environments:
        return "none is recorded"
    return ", ".join(f"{key} {change}" for key, change in one.changes.items()) or "as recorded"
