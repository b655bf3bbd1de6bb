"""K* against batch size as one line of a figure."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.transforms import ScaledTranslation

from dps.report.figures import style
from dps.report.figures.style import Look
from dps.report.wording import sparsity_name

REACH = 8  # times beyond the values to which a frame follows their intervals
BEYOND = 1e12  # steps, above every frame
BESIDE = 3  # points to the right of K*, whose interval would else lie over that of the confirmed K*
CONFIRMED: dict[str, Any] = {"marker": "D", "markersize": 3, "markerfacecolor": "none", "linestyle": "none"}
CONFIRMED |= {"markeredgewidth": 0.8, "label": "confirmed K*"}
UNREACHED: Look = {"markersize": 4, "markerfacecolor": "none", "label": "goal not reached"}
FEWER: Look = {"linestyle": "none", "markerfacecolor": "white", "label": "fewer replicates"}


def reached(studies: pd.DataFrame) -> pd.DataFrame:
    """The studies in which a trial reached the goal, by batch size."""
    return studies[studies["steps_to_result"].notna()].sort_values("batch_size")


def known(studies: pd.DataFrame) -> pd.DataFrame:
    """The studies that have K* or a confirmed K*, by batch size."""
    return studies[studies[["steps_to_result", "confirmed_steps"]].notna().any(axis=1)].sort_values("batch_size")


def by_place(studies: pd.DataFrame) -> pd.DataFrame:
    """K* of studies that reached the goal, a row for each batch size and a column for each sparsity; NaN elsewhere."""
    steps = studies.astype({"steps_to_result": "float64"})
    return steps.pivot(index="batch_size", columns="sparsity", values="steps_to_result")


def plot(axes: Axes, studies: pd.DataFrame, label: str, look: Look, column: str = "steps_to_result") -> None:
    """Draws a column, K* or another, of studies of one sparsity that reached the goal, with the intervals there are."""
    x, y, low, high = (
        studies[name].to_numpy(float) for name in ("batch_size", column, f"{column}_low", f"{column}_high")
    )
    axes.plot(x, y, label=label, **look)
    axes.vlines(x, low, high, color=look["color"], linewidth=0.8)
    if (fewer := has_fewer(studies).to_numpy()).any():
        plot_fewer(axes, x[fewer], y[fewer], look)


def has_fewer(studies: pd.DataFrame) -> pd.Series:
    """Whether each study of a curve has fewer replicates than another of it: their means are then of other searches."""
    return studies["replicates"] < studies["replicates"].max()


def plot_fewer(axes: Axes, x: np.ndarray, y: np.ndarray, look: Look) -> None:
    """Makes the marks of points that have fewer replicates hollow."""
    axes.plot(x, y, **{**look, **FEWER, "markeredgewidth": 0.8})


def heights(rows: pd.DataFrame, *columns: str) -> np.ndarray:
    """The values of the columns, and the ends of their intervals as far as REACH times beyond all of these values."""
    values = rows[list(columns)].to_numpy(float, na_value=np.nan).ravel()
    ends = rows[[f"{column}{end}" for column in columns for end in ("_low", "_high")]].to_numpy(float, na_value=np.nan)
    return np.append(values, np.clip(ends.ravel(), np.nanmin(values) / REACH, np.nanmax(values) * REACH))


def plot_confirmed(axes: Axes, studies: pd.DataFrame, color: str = style.BLUE) -> None:
    """Draws the confirmed K* of the studies that have one, beside K*, each with its interval where it has one.

    An interval without an upper end goes up to the frame, and ends there in an arrow head.
    """
    found = studies[studies["confirmed_steps"].notna()]
    if found.empty:
        return
    columns = ("batch_size", "confirmed_steps", "confirmed_steps_low", "confirmed_steps_high")
    x, y, low, high = (found[name].to_numpy(float, na_value=np.nan) for name in columns)
    beside = ScaledTranslation(BESIDE / 72, 0, axes.figure.dpi_scale_trans)
    data, top = axes.transData + beside, axes.get_xaxis_transform() + beside
    axes.plot(x, y, color=color, transform=data, **CONFIRMED)
    axes.vlines(x, low, np.where(np.isnan(high), BEYOND, high), color=color, linewidth=0.8, transform=data)
    for unbounded in x[np.isnan(high) & ~np.isnan(low)]:
        axes.plot(unbounded, 1, "^", color=color, markersize=3, transform=top, clip_on=False)


def plot_unreached(axes: Axes, studies: pd.DataFrame, color: Any) -> None:
    """Draws a hollow triangle at the frame for each study in which no trial of a replicate reached the goal."""
    for batch_size in studies.loc[studies["steps_to_result"].isna(), "batch_size"]:
        axes.plot(batch_size, 1, "^", color=color, transform=axes.get_xaxis_transform(), clip_on=False, **UNREACHED)


def confirmed(studies: pd.DataFrame) -> str:
    """A sentence on what a confirmed K* is; "" where there is none."""
    found = studies[studies["confirmed_steps"].notna()]
    if found.empty:
        return ""
    text = "Confirmed, drawn beside K*: the median over fresh seeds, with its 95% interval from six seeds on"
    if (found["confirmed_steps_high"].isna() & found["confirmed_steps_low"].notna()).any():
        text += "; an arrow head at the frame: it has no upper end, since too many of the seeds do not reach the goal"
    return f"{text}."


def uprights(studies: pd.DataFrame, column: str = "steps_to_result", lines: str = "Upright lines") -> str:
    """A sentence on what the lines through the points of a column are, or why there are none."""
    if studies[f"{column}_low"].isna().all():
        return "No point has an interval, which needs two replicates of a study (hydra.sweeper.replicates=2)."
    return (
        f"{lines}: 95% intervals over the replicates of a study, where there are two or more; one that meets the "
        "frame goes on beyond it."
    )


def fewer(studies: pd.DataFrame) -> str:
    """A sentence on hollow marks; "" where every study of every curve has as many replicates."""
    curves = studies.groupby(["workload", "sparsity"])["replicates"]
    if (curves.min() == curves.max()).all():
        return ""
    return (
        "A hollow mark: it has fewer replicates than others of its curve, so that it can lie higher or lower for this "
        "reason alone."
    )


def left_out(studies: pd.DataFrame) -> str:
    """A sentence on the studies without K*, which no curve shows; "" where there are none."""
    missing = studies[studies["steps_to_result"].isna()].sort_values(["sparsity", "batch_size"])
    if missing.empty:
        return ""
    places = [
        f"batch size {batch_size}, {sparsity_name(sparsity)}"
        for batch_size, sparsity in zip(missing["batch_size"], missing["sparsity"], strict=True)
    ]
    named = "; ".join(places[:3]) + (f"; and {len(places) - 3} more" if len(places) > 3 else "")
    return (
        f"In {len(places)} of {len(studies)} studies no trial of a replicate reached the goal, so that K* is not known "
        f"({named}): a hollow triangle at the frame."
    )
