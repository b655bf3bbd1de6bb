"""The report as one HTML document that needs no other file and no network."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

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
from dps.report.tables import Sortable, ends_of, filled, sortable
from dps.report.wording import is_empty, near_one, shown

GENERATOR = '<meta name="generator" content="dps-report">'
VERDICTS = {"holds": ("yes", "✓"), "does not hold": ("no", "✗"), "not enough data": ("open", "?")}
OPEN_GRIDS = 2
OPEN_COMMANDS = 12
CSS_PIXELS_PER_PIXEL = 0.6  # a figure of 200 dots per inch, a quarter larger than in print
WITHOUT_INTERVAL = ("noise",)  # of theory.csv: what intervals are made from
SAID_ONCE = (
    *(name for name in PROTOCOL if name != "workload"),
    "replicate",
    "space",
)  # unless it differs within a workload


@dataclass(frozen=True)
class Image:
    """A figure as the page holds it: its name, what it shows, the PNG as a data: address, the width in CSS pixels."""

    stem: str
    caption: str
    source: str
    width: int


def page(results: Results, claims: Sequence[Claim], figures: Sequence[tuple[str, str, bytes]]) -> str:
    """A self-contained HTML document of the results, the claims and the figures (stem, caption, PNG)."""
    studies = results.studies
    return (
        _templates()
        .get_template("page.html")
        .render(
            generator=Markup(GENERATOR),
            style=Markup(_file("page.css")),
            script=Markup(_file("page.js")),
            workloads=", ".join(dict.fromkeys(studies["workload"])),
            grids=list(grids(studies)),
            open_grids=OPEN_GRIDS,
            recoded="cifar10_folder" in set(studies["dataset"]),
            claims=claims,
            verdicts=VERDICTS,
            figures=[_image(*figure) for figure in figures],
            level=f"{LEVEL:.0%}",
            outer=f"{OUTER_FRACTION:.0%}",
            k_star=_pooled(results.k_star),
            studies=_studies(results),
            theory=_table(results.theory, "curves", list(results.theory.columns)),
            budgets=_table(results.budgets, "budgets", list(results.budgets.columns)),
            commands=[(name, rows.to_dict(orient="records")) for name, rows in studies.groupby("workload")],
            open_commands=OPEN_COMMANDS,
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
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


def _breakable(text: str) -> Markup:
    """The text, escaped, that may go on in a new line after an underscore."""
    return Markup("_<wbr>").join(text.split("_"))


def _network(network: Network) -> str:
    sparsity, pruning = network
    return f"{shown('sparsity', sparsity)} {pruning}" if sparsity else "dense"


def _image(stem: str, caption: str, png: bytes) -> Image:
    pixels = int.from_bytes(png[16:20])  # the width, in a PNG's header
    source = f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}"
    return Image(stem, caption, source, round(CSS_PIXELS_PER_PIXEL * pixels))


def _studies(results: Results) -> Sortable:
    names = [one.name for one in results.metaparameters]
    first = ["workload", "batch_size", "sparsity", "replicate", "steps_to_result", *names, "boundary"]
    columns = [*first, *(name for name in results.studies.columns if name not in first)]
    return _table(results.studies, "studies", columns, near_one(results.metaparameters))


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
