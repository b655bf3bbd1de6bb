"""What the bench found, as cases, a table and a JSON file."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from dps.storage.files import write_atomically


@dataclass
class Case:
    """One comparison: seconds of the plain way, of ours, and of the irreducible work; None where there is none.

    `assembled` says that a figure was added up from measured parts; `note` says what else a reader must know.
    """

    name: str
    plain_seconds: float | None = None
    our_seconds: float | None = None
    irreducible_seconds: float | None = None
    assembled: bool = False
    note: str = ""

    @property
    def times_faster(self) -> float | None:
        """Plain over ours."""
        return self.plain_seconds / self.our_seconds if self.plain_seconds and self.our_seconds else None


def show(cases: Sequence[Case], rates: Mapping[str, float], console: Console) -> None:
    """Print the machine's rates and a row for each case."""
    console.print(
        f"Matrix product {rates['matrix_product_flops'] / 1e9:,.0f} GFLOP/s; one model at its best batch size trains "
        f"{rates['train']:,.0f} and evaluates {rates['forward']:,.0f} examples a second."
    )
    table = Table("case", box=box.SIMPLE_HEAD)
    for column in ("plain", "ours", "faster", "irreducible", "ours / irreducible"):
        table.add_column(column, justify="right")
    for case in cases:
        over = _ratio(case.our_seconds, case.irreducible_seconds)
        plain = _seconds(case.plain_seconds) + (" *" if case.assembled else "")
        faster = "" if case.times_faster is None else f"{case.times_faster:.1f} x"
        name = f"{case.name}\n[dim]{escape(case.note)}[/dim]" if case.note else case.name
        table.add_row(name, plain, _seconds(case.our_seconds), faster, _seconds(case.irreducible_seconds), over)
    console.print(table)
    console.print("* added up from the steps and checks measured in this run, times the counts of the run")


def save(path: Path, cases: Sequence[Case], rates: Mapping[str, float], config: Any) -> None:
    """Write everything to a JSON file, atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [asdict(case) | {"times_faster": case.times_faster} for case in cases]
    write_atomically(path, json.dumps({"rates": dict(rates), "cases": rows, "config": config}, indent=1) + "\n")


def _ratio(a: float | None, b: float | None) -> str:
    return f"{a / b:.2f}" if a and b else ""


def _seconds(value: float | None) -> str:
    """A time to three figures, in the unit that suits it."""
    if value is None:
        return ""
    for limit, unit, scale in ((1e-3, "us", 1e6), (1.0, "ms", 1e3), (300.0, "s", 1.0), (36000.0, "min", 1 / 60)):
        if value < limit:
            return f"{value * scale:.3g} {unit}"
    return f"{value / 3600:,.1f} h"
