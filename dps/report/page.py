"""The report as one HTML document that needs no other file and no network."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
from markupsafe import Markup

from dps.analysis import environments
from dps.analysis.claims.judge import Claim
from dps.analysis.columns import PROTOCOL
from dps.analysis.coverage import grids
from dps.analysis.k_star import LEVEL
from dps.analysis.networks import Network
from dps.analysis.results import Results
from dps.analysis.study_folder import OUTER_FRACTION
from dps.analysis.study_table import COARSER, SEARCHES
from dps.protocol.outcome import STATUSES
from dps.report import links
from dps.report.answer import answer
from dps.report.chart import charts
from dps.report.facts import facts
from dps.report.figures.subject import named
from dps.report.tables import Sortable, ends_of, filled, sortable
from dps.report.trials import trials
from dps.report.wording import is_empty, near_one, shown, sparsity_name

GENERATOR = '<meta name="generator" content="dps-report">'
VERDICTS = {"holds": ("yes", "✓"), "does not hold": ("no", "✗"), "not enough data": ("open", "?")}
UNDECIDED = "not enough data"
OPEN_GRIDS = 2
OPEN_COMMANDS = 12
CSS_PIXELS_PER_PIXEL = 0.6  # a figure of 200 dots per inch, a quarter larger than in print
LIBRARIES = ("vega/vega.min.js", "vega/vega-lite.min.js", "vega/vega-embed.min.js")
SCRIPTS = ("page.js", "trials.js", "charts.js")
WITHOUT_INTERVAL = ("noise",)  # of theory.csv: what intervals are made from
SAID_ONCE = (
    *(name for name in PROTOCOL if name != "workload"),
    "replicate",
    "space",
)  # unless it differs within a workload


@dataclass(frozen=True)
class Image:
    """A figure as the page holds it: its name, what it shows, the PNG as a data: address, the width in CSS pixels.

    `chart` draws it to be explored, in the words of Vega-Lite; None for a figure that is a picture alone.
    """

    stem: str
    caption: str
    source: str
    width: int
    chart: Mapping[str, Any] | None


def page(results: Results, claims: Sequence[Claim], figures: Sequence[tuple[str, str, bytes]], folder: Path) -> str:
    """A self-contained HTML document of the results, the claims and the figures (stem, caption, PNG).

    Its links are relative to the `folder` that it is written to.
    """
    studies = results.studies
    interactive = charts(results)
    images = [_image(*figure, interactive.get(figure[0])) for figure in figures]
    first = next((image for image in images if image.chart), None)
    folders = list(map(Path, studies["folder"]))
    return (
        _templates()
        .get_template("page.html")
        .render(
            generator=Markup(GENERATOR),
            style=Markup(_file("page.css")),
            scripts=[Markup(_script(name)) for name in (*(LIBRARIES if first else ()), *SCRIPTS)],
            workloads=", ".join(dict.fromkeys(studies["workload"])),
            answer=answer(results),
            facts=facts(results),
            first=first,
            grids=list(grids(studies)),
            open_grids=OPEN_GRIDS,
            recoded="cifar10_folder" in set(studies["dataset"]),
            claims=claims,
            judged=[claim for claim in claims if claim.verdict != UNDECIDED],
            undecided=[claim for claim in claims if claim.verdict == UNDECIDED],
            verdicts=VERDICTS,
            figures=[image for image in images if image is not first],
            level=f"{LEVEL:.0%}",
            outer=f"{OUTER_FRACTION:.0%}",
            k_star=_pooled(results.k_star),
            studies=_studies(results),
            replicated=bool((results.k_star["replicates"] > 1).any()),
            confirmed=bool(results.k_star["fresh_seeds"].notna().any()),
            searches=studies[list(SEARCHES)].notna().any(axis=None),
            trials=trials(results),
            theory=_table(results.theory, "curves", list(results.theory.columns)),
            budgets=_table(results.budgets, "budgets", list(results.budgets.columns)),
            commands=[(name, rows.to_dict(orient="records")) for name, rows in studies.groupby("workload")],
            open_commands=OPEN_COMMANDS,
            files={str(path): links.of_study(path, folder) for path in folders},
            of_sweeps=[*links.of_sweeps(folders, folder), *links.of_sweeps_runs(results.runs)],
            environment=environments.shared(results.environments),
            differences=environments.differences(results.environments, len(studies)),
            missing=results.missing,
        )
    )


def _templates() -> jinja2.Environment:
    templates = jinja2.Environment(
        loader=jinja2.PackageLoader("dps.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters |= {"breakable": _breakable, "network": _network, "shown": shown}
    templates.tests["empty"] = is_empty
    return templates


def _file(name: str) -> str:
    return (Path(__file__).parent / name).read_text(encoding="utf-8")


def _script(name: str) -> str:
    """A script without the address of its source map, which a browser's tools would ask for."""
    return _file(name).partition("//# sourceMappingURL")[0]


def _breakable(text: str) -> Markup:
    """The text, escaped, that may go on in a new line after an underscore."""
    return Markup("_<wbr>").join(text.split("_"))


def _network(network: Network) -> str:
    sparsity, pruning = network
    return f"{sparsity_name(sparsity)}, {named(pruning)}" if sparsity else sparsity_name(sparsity)


def _image(stem: str, caption: str, png: bytes, chart: Mapping[str, Any] | None) -> Image:
    pixels = int.from_bytes(png[16:20])  # the width, in a PNG's header
    source = f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}"
    return Image(stem, caption, source, round(CSS_PIXELS_PER_PIXEL * pixels), chart)


def _studies(results: Results) -> Sortable:
    """The rows of study.csv, the counts of how their trials ended in one column.

    K* at rarer checks is in the file alone: with it the table would be wider than a screen of 1280 pixels.
    """
    counts = results.studies[list(STATUSES)].astype("float64").fillna(0).astype(int).to_dict(orient="records")
    ended = [", ".join(f"{count} {status}" for status, count in row.items() if count) for row in counts]
    names = [one.name for one in results.metaparameters if one.name in results.studies]
    first = [
        "workload",
        "batch_size",
        "sparsity",
        "replicate",
        "steps_to_result",
        *names,
        "boundary",
        "trials",
        "ended",
    ]
    columns = [*first, *(name for name in results.studies.columns if name not in {*first, *STATUSES, *COARSER})]
    return _table(results.studies.assign(ended=ended), "studies", columns, near_one(results.metaparameters))


def _pooled(k_star: pd.DataFrame) -> Sortable | None:
    """K* over replicates and with fresh seeds; None where it would repeat the table of studies."""
    tells = k_star["replicates"].max() > 1 or k_star["fresh_seeds"].notna().any()
    return _table(k_star, "studies", list(k_star.columns)) if tells else None


def _table(frame: pd.DataFrame, what: str, columns: Sequence[str], precise: frozenset[str] = frozenset()) -> Sortable:
    """The columns that hold anything, without what is said elsewhere on the page."""
    hidden = {"command", "folder", *WITHOUT_INTERVAL, *chain.from_iterable(ends_of(frame).values())}
    if not frame.empty:
        by_workload = frame.groupby("workload")
        hidden.update(name for name in SAID_ONCE if name in frame and by_workload[name].nunique().max() <= 1)
        hidden.update(["workload"] if len(by_workload) == 1 else [])
    kept = filled(frame, [name for name in columns if name not in hidden])
    return sortable(frame, f"{len(frame)} {what}. A header sorts.", kept, precise)
