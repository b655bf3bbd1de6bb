"""The report as one HTML document that needs no other file and no network."""

import base64
from collections.abc import Hashable, Mapping, Sequence
from html import escape
from itertools import chain
from pathlib import Path
from string import Template
from typing import Any

import pandas as pd

from dps.analysis.claims.judge import Claim
from dps.analysis.coverage import Grid, grids
from dps.analysis.networks import Network
from dps.analysis.results import Results
from dps.protocol.metaparameters import TABLE
from dps.report.tables import ENDS, filled, table
from dps.report.wording import shown

GENERATOR = '<meta name="generator" content="dps-report">'
VERDICTS = {"holds": ("yes", "✓"), "does not hold": ("no", "✗"), "not enough data": ("open", "?")}
OPEN_GRIDS = 2
OPEN_COMMANDS = 12
CSS_PIXELS_PER_PIXEL = 0.6  # a figure of 200 dots per inch, a quarter larger than in print
# What is said once for a grid, unless it differs within a workload.
SETTING = ["dataset", "model", "optimizer", "lr_schedule", "pruning", "goal_error", "interval_steps"]
SETTING += ["max_steps", "space"]


def page(results: Results, claims: Sequence[Claim], figures: Sequence[tuple[str, str, bytes]]) -> str:
    """A self-contained HTML document of the results, the claims and the figures (stem, caption, PNG or SVG bytes)."""
    workloads = ", ".join(dict.fromkeys(results.studies["workload"]))
    return Template(_file("page.html")).substitute(
        generator=GENERATOR,
        workloads=escape(workloads),
        style=_file("page.css"),
        script=_file("page.js"),
        grids=_grids(results.studies),
        claims=_claims(claims),
        figures="".join(_figure(*figure) for figure in figures) or "<p>There are no data for a figure yet.</p>\n",
        studies=_studies(results.studies),
        theory=_theory(results.theory),
        budgets=_budgets(results.budgets),
        commands=_commands(results.studies),
        missing=_missing(results.missing),
    )


def _file(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


def _grids(studies: pd.DataFrame) -> str:
    """What has been measured of each grid; a few grids lie open."""
    found = list(grids(studies))
    note = "<p>The images of cifar10_folder were recoded as JPEG: close to CIFAR-10, not equal to it.</p>\n"
    shown_grids = "".join(_grid(grid, len(found) <= OPEN_GRIDS) for grid in found)
    return shown_grids + (note if "cifar10_folder" in set(studies["dataset"]) else "")


def _grid(grid: Grid, is_open: bool) -> str:
    """K* of each study in its place, or why it is not there."""
    places = grid.places
    heads = "".join(f'<th scope="col">{batch_size}</th>' for batch_size in grid.batch_sizes)
    rows = ""
    for network in grid.networks:
        cells = "".join(f"<td>{_place(places.get((network, batch_size)))}</td>" for batch_size in grid.batch_sizes)
        rows += f'<tr><th scope="row">{escape(_network(network))}</th>{cells}</tr>\n'
    name = escape(grid.workload)
    return f"""<details{" open" if is_open else ""}>
<summary><strong>{name}</strong>, goal error {grid.goal_error:g}: {grid}</summary>
<div class="wide" tabindex="0" role="region" aria-label="K* of {name}">
<table class="grid"><caption>K* by batch size and sparsity</caption>
<thead><tr><td></td>{heads}</tr></thead>
<tbody>
{rows}</tbody></table></div>
<p>{escape(_setting(grid.studies.iloc[0]))}</p>
</details>
"""


def _network(network: Network) -> str:
    sparsity, pruning = network
    return f"{shown('sparsity', sparsity)} {pruning}" if sparsity else "dense"


def _place(study: pd.Series | None) -> str:
    if study is None:
        return "<i>missing</i>"
    if study["state"] == "running":
        return "<i>running</i>"
    return "<i>not reached</i>" if pd.isna(study["steps_to_result"]) else str(study["steps_to_result"])


def _setting(study: pd.Series) -> str:
    """What all studies of a grid share."""
    parts = [str(study[name]) for name in ("dataset", "model", "optimizer", "lr_schedule")]
    parts += [f"a check every {study['interval_steps']} steps", f"{study['max_steps']} steps at most"]
    searched = study["space"]
    return ", ".join(parts) + (f". Searched: {searched}" if searched else "")


def _claims(claims: Sequence[Claim]) -> str:
    """How many verdicts there are of each kind, and the claims with verdict, numbers and rule."""
    counts = {verdict: sum(claim.verdict == verdict for claim in claims) for verdict in VERDICTS}
    summary = f"{counts['holds']} hold, {counts['does not hold']} do not, {counts['not enough data']} lack data"
    lead = f"<p>The claims of Lee et al. (2020, arXiv:2003.11316), held against these results: {summary}.</p>"
    return f'{lead}\n<ol class="claims">\n{"".join(map(_claim, claims))}</ol>\n'


def _claim(claim: Claim) -> str:
    kind, symbol = VERDICTS[claim.verdict]
    return f"""<li value="{claim.number}">
<h3>{claim.number}. {escape(claim.statement)}</h3>
<p class="verdict {kind}"><span aria-hidden="true">{symbol}</span> {escape(claim.verdict)}</p>
<p>{escape(claim.figures)}</p>
<details><summary>Rule</summary><p>{escape(claim.rule)}</p></details>
</li>
"""


def _figure(stem: str, caption: str, image: bytes) -> str:
    kind = "svg+xml" if image.lstrip().startswith(b"<") else "png"
    source = f"data:image/{kind};base64,{base64.b64encode(image).decode('ascii')}"
    name, words = escape(stem), escape(caption)
    return f"""<figure id="{name}">
<div class="wide" tabindex="0" role="region" aria-label="{name}">
<img src="{source}"{_width(image)} alt="{words}"></div>
<figcaption>{words}</figcaption>
</figure>
"""


def _width(image: bytes) -> str:
    """The width attribute of a PNG, from its header; an SVG brings its own."""
    if not image.startswith(b"\x89PNG"):
        return ""
    return f' width="{CSS_PIXELS_PER_PIXEL * int.from_bytes(image[16:20]):.0f}"'


def _studies(studies: pd.DataFrame) -> str:
    first = ["workload", "batch_size", "sparsity", "steps_to_result", *(one.name for one in TABLE), "boundary"]
    columns = [*first, *(name for name in studies.columns if name not in first)]
    return _table(studies, columns, f"{len(studies)} studies. A header sorts.")


def _theory(theory: pd.DataFrame) -> str:
    if theory.empty:
        return "<p>There are no data for a fit yet.</p>\n"
    return _table(theory, list(theory.columns), f"{len(theory)} curves. A header sorts.")


def _budgets(budgets: pd.DataFrame) -> str:
    if budgets.empty:
        return "<p>No study is finished yet.</p>\n"
    return _table(budgets, list(budgets.columns), f"{len(budgets)} budgets. A header sorts.")


def _table(frame: pd.DataFrame, columns: Sequence[str], caption: str) -> str:
    """The columns that hold anything, without what is said elsewhere on the page."""
    hidden = {"command", "folder", *chain.from_iterable(ENDS.values())}
    by_workload = frame.groupby("workload")
    hidden.update(name for name in SETTING if name in frame and by_workload[name].nunique().max() <= 1)
    if len(by_workload) == 1:
        hidden.add("workload")
    return table(frame, caption, filled(frame, [name for name in columns if name not in hidden]))


def _commands(studies: pd.DataFrame) -> str:
    """The command line of each study, with a button that copies it; a few of a workload lie open."""
    lists = ""
    for workload, rows in studies.groupby("workload"):
        items = "".join(map(_command, rows.to_dict(orient="records")))
        lists += f"""<details{" open" if len(rows) <= OPEN_COMMANDS else ""}>
<summary><strong>{escape(str(workload))}</strong> {len(rows)} studies</summary>
<ul class="commands">
{items}</ul>
</details>
"""
    return lists


def _command(study: Mapping[Hashable, Any]) -> str:
    place = f"batch size {study['batch_size']}, sparsity {shown('sparsity', study['sparsity'])}"
    return f"""<li><span>{place}</span><code>{escape(study["command"])}</code>
<button type="button" class="copy" aria-label="Copy the command of {place}">Copy</button></li>
"""


def _missing(sentences: Sequence[str]) -> str:
    if not sentences:
        return "<p>Nothing: every study of the grid is finished.</p>\n"
    return f"<ul>\n{''.join(f'<li>{escape(sentence)}</li>' for sentence in sentences)}\n</ul>\n"
