"""What is drawn, read back from matplotlib's artists."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D


def shown(figure: Figure) -> dict[str, Axes]:
    """The visible panels by their titles."""
    return {(axes.get_title() or axes.get_title("left")): axes for axes in figure.axes if axes.get_visible()}


def line(axes: Axes, label: str) -> Line2D:
    (found,) = [line for line in axes.lines if line.get_label() == label]
    return found


def xy(line: Line2D) -> np.ndarray:
    """The data of a line, a row for each point."""
    return np.column_stack([np.asarray(values, dtype=float) for values in line.get_data()])


def points(axes: Axes, label: str) -> list[tuple[float, float]]:
    """The points of the line with this label, by x."""
    return sorted((x, y) for x, y in xy(line(axes, label)).tolist())
