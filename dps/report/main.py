"""The command `dps-report`: from the records of studies to tables, figures and a web page."""

from __future__ import annotations

import argparse
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dps import signals
from dps.stages import Stages

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from dps.analysis.claims.judge import Claim
    from dps.analysis.results import Results

DOTS_PER_INCH = 200
QUIET_SECONDS = 5.0  # a report that takes longer says from then on what it is at
LISTED = 10  # sentences on what is missing that the terminal shows; the page shows all


def main() -> None:
    """Run the command line; a failure prints one sentence (HYDRA_FULL_ERROR=1: the traceback) and exits with 1."""
    with signals.stopping("dps-report"):
        from dps import errors

        typed = _parser().parse_args()
        with Stages("dps-report", QUIET_SECONDS) as at:
            errors.run_command("dps-report", lambda: _report(typed, at))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="dps-report",
        description="From the trials.csv files of studies: figures as PDF and PNG, k_star.csv, study.csv, theory.csv, "
        "budget.csv, claims.csv, and all of it on one web page, index.html, that needs no network.",
        epilog="A sweep may still run: the report says which studies are missing. The same command again replaces its "
        "own report; a folder that holds anything else is refused.",
    )
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER", help="a study, a sweep or several")
    parser.add_argument(
        "--measured",
        nargs="+",
        type=Path,
        default=[],
        metavar="FOLDER",
        help="folders that give measurements only: smoothness.csv, noise.csv, curves.csv",
    )
    parser.add_argument("--output", type=Path, metavar="FOLDER", help="default: report/ inside the first FOLDER")
    parser.add_argument(
        "--figures",
        nargs="+",
        metavar="NUMBER",
        help="draw these of the paper's figures alone, for example 1 2 12, costs or criteria",
    )
    return parser


def _report(typed: argparse.Namespace, at: Stages) -> None:
    """Writes nothing until everything is read, judged and drawn."""
    import pandas as pd

    from dps.analysis.claims.judge import judge
    from dps.analysis.results import gather
    from dps.report import output
    from dps.report.page import page

    at("reads the studies, and fits curves to them")
    results = gather(typed.folders, typed.measured)
    folder = typed.output or typed.folders[0] / "report"
    output.check(folder)
    at("judges the claims")
    claims = judge(results)
    files, figures = _drawn(results, typed.figures, at)
    at("makes the page")
    files |= {
        "k_star.csv": _csv(results.k_star),
        "study.csv": _csv(results.studies),
        "theory.csv": _csv(results.theory),
        "budget.csv": _csv(results.budgets),
        "claims.csv": _csv(pd.DataFrame(claims)),
        output.PAGE: page(results, claims, figures, folder).encode(),
    }
    output.write(folder, files)
    _show(results, claims, folder / output.PAGE)


def _drawn(
    results: Results, numbers: Sequence[str] | None, at: Stages
) -> tuple[dict[str, bytes], list[tuple[str, str, bytes]]]:
    """The figures' files by name, and what the page shows of them: stem, caption, PNG."""
    from dps.report.figures import NUMBERS, draw
    from dps.report.output import MAKER

    at("draws the figures")
    files, figures = {}, []
    for stem, caption, figure in draw(results, NUMBERS if numbers is None else numbers):
        at(f"saves {stem}")
        files[f"{stem}.pdf"] = _saved(figure, "pdf", {"Creator": MAKER, "CreationDate": None})
        files[f"{stem}.png"] = _saved(figure, "png", {"Software": MAKER})
        figures.append((stem, caption, files[f"{stem}.png"]))
    return files, figures


def _saved(figure: Figure, kind: str, metadata: dict[str, str | None]) -> bytes:
    content = io.BytesIO()
    figure.savefig(content, format=kind, dpi=DOTS_PER_INCH, metadata=metadata)
    return content.getvalue()


def _csv(frame: pd.DataFrame) -> bytes:
    from pandas.api.types import is_numeric_dtype

    texts = {name: frame[name].map(_not_run) for name in frame if not is_numeric_dtype(frame[name])}
    return frame.assign(**texts).to_csv(index=False, lineterminator="\n").encode()


def _not_run(value: object) -> object:
    """Text that a spreadsheet would take for a formula, behind an apostrophe, which it does not show."""
    from dps.protocol.values import FORMULA

    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value


def _show(results: Results, claims: Sequence[Claim], path: Path) -> None:
    """Claims, how much of the grids is there, what is missing, and where the page is."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from dps.analysis.coverage import grids

    console = Console(highlight=False, markup=False, soft_wrap=True)
    table = Table("", "claim", "verdict")
    for claim in claims:
        table.add_row(str(claim.number), Text(claim.statement), claim.verdict)
    console.print(table)
    for grid in grids(results.studies):
        console.print(f"{grid.workload}, goal error {grid.goal_error:g}: {grid}")
    for sentence in results.missing[:LISTED]:
        console.print(f"  {sentence}")
    if (more := len(results.missing) - LISTED) > 0:
        console.print(f"  and {more} more, listed on the page")
    console.print(f"Report: {path}")


if __name__ == "__main__":
    main()
