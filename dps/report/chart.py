"""Figure 1 as the page draws it: K* against batch size in Vega-Lite, with what a study found under the pointer."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.colors import to_hex

from dps.analysis.results import Results
from dps.report import chart_rows
from dps.report.chart_rows import Rows
from dps.report.figures import curve
from dps.report.figures.style import Look
from dps.report.figures.subject import Subject, network_looks, subjects
from dps.report.wording import sparsity_name

Specification = dict[str, Any]  # in the words of Vega-Lite
SHAPES = {"o": "circle", "s": "square", "^": "triangle-up", "D": "diamond", "v": "triangle-down"}
HEIGHT = 330  # pixels
SWITCHES = {
    "fits": "fits c1 / B + c2",
    "intervals": "95% intervals",
    "confirmed": "confirmed K*",
    "linear": "linear scaling",
}
OFF = ("linear",)  # until it is asked for
HEIGHTS = ("steps", "low", "high", "confirmed", "confirmed_low", "confirmed_high")  # fields of a row
TOP = {"value": 0}  # pixels below the frame's top
BESIDE = 7  # pixels to the right of K*, whose interval would else lie over that of the confirmed K*


def charts(results: Results) -> dict[str, Specification]:
    """What the page draws in place of a subject's Figure 1, by that figure's stem."""
    finished = results.k_star[results.k_star["state"] == "finished"]
    looks = network_looks(results)
    return {
        f"figure_1_{subject.name}": _chart(subject, results, looks)
        for subject in subjects(finished)
        if not curve.known(subject.rows).empty
    }


def _chart(subject: Subject, results: Results, looks: Mapping[float, Look]) -> Specification:
    studies = curve.known(subject.rows)
    points = chart_rows.points(studies, subject.of(results.studies), results.metaparameters)
    parts = {
        "linear": chart_rows.linear(studies),
        "fits": chart_rows.fits(studies, subject.theory(results.theory)),
        "intervals": [row for row in points if row["low"] and row["high"]],
        "confirmed": [row for row in points if row["confirmed"]],
    }
    sparsities = sorted(set(studies["sparsity"]))
    names = list(map(sparsity_name, sparsities))
    visible = " || ".join(f"network_{k} && datum.network == {k}" for k in range(len(names)))
    layers = [_part(name, rows, visible) for name, rows in parts.items() if rows]
    return {
        "width": "container",
        "height": HEIGHT,
        "autosize": {"type": "fit", "contains": "padding"},
        "background": "transparent",
        "description": f"Steps-to-result K* against batch size. {subject.heading}",
        "params": [
            *(_switch(f"network_{k}", name, True) for k, name in enumerate(names)),
            *(_switch(name, words, name not in OFF) for name, words in SWITCHES.items() if parts[name]),
        ],
        "encoding": _encoding(studies, [*points, *parts["fits"]], names, [looks[one] for one in sparsities]),
        "layer": [*layers, *_of_points(points, visible, names, [looks[one] for one in sparsities])],
        "config": {
            "font": "system-ui, sans-serif",
            "axis": {"gridColor": "#ebebeb", "labelFontSize": 12, "titleFontSize": 12, "titleFontWeight": "normal"},
            "legend": {"labelFontSize": 13, "symbolOpacity": 1},
            "view": {"stroke": None},
            "aria": True,
        },
    }


def _switch(name: str, words: str, on: bool) -> Specification:
    return {"name": name, "value": on, "bind": {"input": "checkbox", "name": words}}


def _encoding(studies: pd.DataFrame, rows: Rows, names: Sequence[str], looks: Sequence[Look]) -> Specification:
    """Logarithmic axes that stay as they are when parts are switched off, and a colour for each network."""
    heights = [row[name] for row in rows for name in HEIGHTS if row.get(name)]
    batch_sizes = sorted(set(studies["batch_size"].astype(int)))
    return {
        "x": _axis("batch_size", "batch size (examples)", batch_sizes, {"values": batch_sizes}),
        "y": _axis("steps", "steps-to-result K*", heights, {"tickCount": 6}),
        "color": {
            "field": "name",
            "type": "nominal",
            "scale": {"domain": list(names), "range": [to_hex(look["color"]) for look in looks]},
            "legend": {"title": None, "orient": "top", "columns": 3},
        },
    }


def _axis(field: str, title: str, values: Sequence[float], ticks: Specification) -> Specification:
    domain = [min(values) / 1.15, max(values) * 1.15]
    scale = {"type": "log", "base": 2, "domain": domain, "nice": False}
    return {**_field(field), "title": title, "scale": scale, "axis": {"format": "d", "labelOverlap": "greedy", **ticks}}


def _part(name: str, rows: Rows, visible: str) -> Specification:
    """The layer of a part that has a switch of its own."""
    marks: dict[str, Specification] = {
        "linear": {"mark": {"type": "line", "strokeDash": [6, 4], "strokeWidth": 1}},
        "fits": {"mark": {"type": "line", "strokeDash": [1, 4], "strokeCap": "round", "strokeWidth": 2.5}},
        "intervals": {
            "mark": {"type": "rule", "strokeWidth": 1.5},
            "encoding": {"y": _field("low"), "y2": {"field": "high"}},
        },
    }
    drawn = {"layer": _confirmed()} if name == "confirmed" else _unsaid(marks[name])
    return {"data": {"values": rows}, "transform": [{"filter": name}, {"filter": visible}], **drawn}


def _confirmed() -> list[Specification]:
    """The layers of the confirmed K*: its interval, which without an upper end has an arrow head at the top, and it."""
    low = _field("confirmed_low")
    bounded, unbounded = ([{"filter": f"datum.confirmed_low && {end}datum.confirmed_high"}] for end in ("", "!"))
    rule, head = {"type": "rule", "strokeWidth": 1.5}, {"type": "point", "shape": "triangle-up", "filled": True}
    layers: list[Specification] = [
        {"transform": bounded, "mark": rule, "encoding": {"y": low, "y2": {"field": "confirmed_high"}}},
        {"transform": unbounded, "mark": rule, "encoding": {"y": low, "y2": TOP}},
        {"transform": unbounded, "mark": {**head, "size": 60, "opacity": 1}, "encoding": {"y": TOP}},
        {
            "mark": {"type": "point", "shape": "diamond", "size": 130, "strokeWidth": 1.5},
            "encoding": {"y": _field("confirmed")},
        },
    ]
    return [_unsaid({**layer, "mark": {**layer["mark"], "xOffset": BESIDE}}) for layer in layers]


def _unsaid(layer: Specification) -> Specification:
    """The layer as one that a screen reader passes over: the points say all that is known."""
    return {**layer, "mark": {**layer["mark"], "aria": False}}


def _of_points(points: Rows, visible: str, names: Sequence[str], looks: Sequence[Look]) -> list[Specification]:
    """The curves, their marks, and round each mark a wide circle unseen that a finger meets, with all that is known."""
    shapes = [SHAPES.get(look["marker"], "circle") for look in looks]
    shape = {"field": "name", "type": "nominal", "scale": {"domain": list(names), "range": shapes}}
    told = [{"field": name, "type": "nominal", "title": title} for name, title in chart_rows.TOLD.items()]
    told = [one for one in told if any(row[one["field"]] for row in points)]
    shared = {"data": {"values": points}, "transform": [{"filter": visible}]}
    reached = {"data": {"values": [row for row in points if row["steps"]]}, "transform": [{"filter": visible}]}
    return [
        {**reached, "mark": {"type": "line", "aria": False}},
        *(
            {
                "data": {"values": [row for row in points if row["steps"] and row["fewer"] == hollow]},
                "transform": [{"filter": visible}],
                "mark": {"type": "point", "filled": not hollow, "size": 70, "opacity": 1, "aria": False},
                "encoding": {"shape": {**shape, "legend": {"title": None, "orient": "top", "columns": 3}}},
            }
            for hollow in sorted({False, *(row["fewer"] for row in points)})
        ),
        {
            **shared,
            "mark": {"type": "circle", "size": 700, "opacity": 0},
            "encoding": {"y": _field("at"), "tooltip": told, "description": {"field": "said", "type": "nominal"}},
        },
    ]


def _field(name: str) -> Specification:
    return {"field": name, "type": "quantitative"}
