"""The shared look of the figures: sizes, colours, markers, and axes with ticks at powers of two."""

import textwrap
from collections.abc import Iterable, Mapping
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

COLUMN_WIDTH, TEXT_WIDTH = 3.4, 7.0  # inches, of a paper's column and text
LEGEND_ROW = 0.165  # inches
PARAMETERS: Any = {
    "pdf.fonttype": 42,  # TrueType, embedded
    "ps.fonttype": 42,
    "font.size": 7,
    "axes.titlesize": 7,
    "axes.labelsize": 7,
    "xtick.labelsize": 6.5,
    "ytick.labelsize": 6.5,
    "legend.fontsize": 7,
    "figure.titlesize": 8,
    "legend.frameon": False,
    "legend.handlelength": 2.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "0.92",
    "grid.linewidth": 0.5,
    "lines.linewidth": 1.0,
    "lines.markersize": 3.5,
}
# Okabe and Ito's palette.
BLUE, VERMILION, GREEN, ORANGE, SKY = "#0072B2", "#D55E00", "#009E73", "#E69F00", "#56B4E9"
PURPLE, BLACK = "#CC79A7", "#000000"
_MARKERS = ("o", "s", "^", "v", "P", "X", "<", "D")
_DASHES = ("-", (0, (5, 1)), "-.", (0, (5, 1, 1, 1, 1, 1)))  # none is dotted, as fits are

Look = Mapping[str, Any]  # keyword arguments of Axes.plot
Drawing = tuple[str, str, Figure]  # a name that is safe in a file's name, a caption, the figure


def sparsity_looks(studied: Iterable[float], measured: Iterable[float] = ()) -> dict[float, Look]:
    """A look for each sparsity, from dark (the least sparse) to light; what was measured besides moves no study's mark.

    The colours are spread over all of them; markers and dashes go to those of studies first.
    """
    first = sorted(set(studied))
    ranked = [*first, *sorted(set(measured).difference(first))]
    shades = map(matplotlib.colormaps["viridis"], np.linspace(0.0, 0.85, len(ranked)))
    colours = dict(zip(sorted(ranked), shades, strict=True))
    return {level: _look(colours[level], rank) for rank, level in enumerate(ranked)}


def kind_looks(kinds: Iterable[str]) -> dict[str, Look]:
    """A look for each of some kinds without an order, such as optimizers; the eighth repeats the first's colour."""
    colours = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, BLACK)
    return {kind: _look(colours[rank % len(colours)], rank) for rank, kind in enumerate(kinds)}


def _look(colour: Any, rank: int) -> Look:
    marker, dashes = _MARKERS[rank % len(_MARKERS)], _DASHES[rank % len(_DASHES)]
    return {"color": colour, "marker": marker, "linestyle": dashes, "markeredgewidth": 0.5}


def panels(title: str, rows: int, columns: int, height: float = 1.6, **shared: Any) -> tuple[Figure, np.ndarray]:
    """A titled figure and its axes (rows, columns): as wide as a column of text up to two, else as the text.

    `height` is that of one row in inches; `shared` is passed to Figure.subplots.
    """
    width = COLUMN_WIDTH if columns <= 2 else TEXT_WIDTH
    figure = Figure(figsize=(width, rows * height + 0.75), layout="constrained")
    set_title(figure, title)
    return figure, figure.subplots(rows, columns, squeeze=False, **shared)


def panels_of(title: str, count: int, most: int = 4, **options: Any) -> tuple[Figure, np.ndarray]:
    """The same for so many panels, at most `most` in a row; the places that are left in the last row are hidden.

    `options` are those of `panels`.
    """
    columns = min(count, most)
    figure, grid = panels(title, -(-count // columns), columns, **options)
    for axes in list(grid.flat)[count:]:
        axes.set_visible(False)
    return figure, grid


def set_title(figure: Figure, title: str) -> None:
    """Writes the title as it is, in as many lines as the figure's width asks for."""
    figure.suptitle(wrapped(title, figure.get_figwidth())).set_parse_math(False)


def wrapped(title: str, width: float) -> str:
    """The title in one line of `width` inches or, where it is longer, in several, first broken after a colon."""
    letters = int(16 * width)
    parts = [title] if len(title) <= letters else title.replace(": ", ":\n").split("\n")
    return "\n".join(textwrap.fill(part, letters) for part in parts)


def set_legend(figure: Figure, first: Iterable[str] = ()) -> None:
    """One legend below all panels, each label once: those of `first`, then the others as they were drawn."""
    handles: dict[str, Any] = dict.fromkeys(first)
    for axes in figure.axes:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            handles[label] = handles.get(label) or handle
    handles = {label: handle for label, handle in handles.items() if handle is not None}
    columns = max(1, int(figure.get_figwidth() / (0.45 + 0.052 * max(map(len, handles)))))
    rows = -(-len(handles) // columns)
    figure.set_figheight(figure.get_figheight() + LEGEND_ROW * max(0, rows - 2))  # for two rows there is room
    legend = figure.legend(
        list(handles.values()), list(handles), ncols=-(-len(handles) // rows), loc="outside lower center"
    )
    for text in legend.get_texts():
        text.set_parse_math(False)


def plot_ends(axes: Axes, which: str, ends: Iterable[float]) -> None:
    """Draws the ends of what was searched across axis "x" or "y"."""
    across = axes.axvline if which == "x" else axes.axhline
    for end in ends:
        across(end, color="0.55", linestyle=(0, (4, 2)), linewidth=0.7, zorder=0.5, label="end of the search range")


def powers_of_two(axes: Axes, which: str, values: Iterable[float], most: int = 7) -> None:
    """Makes axis "x" or "y" logarithmic, 3 to `most` ticks 2^k; it stays linear where no value is positive."""
    numbers = _positive(values)
    if not numbers.size:
        return
    logs = np.log2(numbers)
    pad = max(0.06 * (logs.max() - logs.min()), 0.2)
    low, high = logs.min() - pad, logs.max() + pad
    while np.floor(high) - np.ceil(low) < 2:  # widened at the end that is nearer to a tick
        below, above = np.ceil(low) - 1, np.floor(high) + 1
        low, high = (below, high) if low - below <= above - high else (low, above)
    exponents = np.arange(np.ceil(low), np.floor(high) + 1)
    stride = -(-len(exponents) // most)
    getattr(axes, f"set_{which}scale")("log", base=2)
    axis = getattr(axes, f"{which}axis")
    axis.set_major_locator(FixedLocator([2.0**k for k in exponents if k % stride == 0]))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"$2^{{{round(np.log2(value))}}}$"))
    axis.set_minor_locator(NullLocator())
    getattr(axes, f"set_{which}lim")(2.0**low, 2.0**high)


def powers_of_ten(axes: Axes, which: str, values: Iterable[float], stride: int = 1) -> None:
    """Makes axis "x" or "y" logarithmic over decades, a tick every `stride`; linear where no value is positive."""
    numbers = _positive(values)
    if not numbers.size:
        return
    logs = np.log10(numbers)
    low, high = np.floor(logs.min() + 1e-9), np.ceil(logs.max() - 1e-9)
    high = max(high, low + 1)
    getattr(axes, f"set_{which}scale")("log", base=10)
    axis = getattr(axes, f"{which}axis")
    axis.set_major_locator(FixedLocator([10.0**k for k in np.arange(low, high + 1, stride)]))
    axis.set_minor_locator(NullLocator())
    pad = 0.06 * (high - low)
    getattr(axes, f"set_{which}lim")(10.0 ** (low - pad), 10.0 ** (high + pad))


def _positive(values: Iterable[float]) -> np.ndarray:
    numbers = np.asarray(list(values), dtype=float)
    return numbers[np.isfinite(numbers) & (numbers > 0)]
