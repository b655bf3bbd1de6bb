"""The measured constants of the theory: Delta, beta, L and the noise scale of a network, over batch sizes and seeds.

Each is a frame of places in rows and units in columns. A place is a batch size, or for L a batch size and a step. A
unit is a replicate where several were measured, and otherwise a trial.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from dps.analysis import theory
from dps.analysis.fits.estimate import Estimate
from dps.analysis.k_star import LEVEL
from dps.analysis.measured import after_step_0

Constants = Mapping[str, pd.DataFrame]
FACTORS = ("delta", "smoothness", "beta")  # of c1
FACTORS_ALL_WEIGHTS = ("delta", "smoothness_all_weights", "beta_all_weights")  # with the gradients of pruned weights
CONSTANTS = ("delta", "beta", "smoothness", "noise_scale", "beta_all_weights", "smoothness_all_weights")


class Mean(NamedTuple):
    """A mean over places and units as its natural logarithm, and by how much each unit moves it, if two or more do."""

    log: float
    moved: pd.Series
    degrees: int


def constants_of(smoothness: pd.DataFrame, noise: pd.DataFrame, losses: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """What was measured of one network.

    Both parts of the noise scale are averaged over the steps of a trial; beta and Delta are those of its start
    (Proposition 3.1).
    """
    trial = ["batch_size", "pruning", "replicate", "trial"]
    replicates = pd.concat([frame["replicate"] for frame in (smoothness, noise, losses)])
    unit = "replicate" if replicates.nunique() > 1 else "trial"
    start, whole, later = noise[noise["step"] == 0], losses.sort_values("step"), after_step_0(smoothness)
    deltas = whole.groupby(trial)["train_loss"].agg(theory.delta)[whole.groupby(trial)["step"].min() == 0]
    parts = noise.groupby(trial)[["gradient_variance", "gradient_squared_norm"]].mean()
    scale = (parts["gradient_variance"] / parts["gradient_squared_norm"]).rename("noise_scale")
    step = ["batch_size", "step"]
    return {
        "delta": _wide(deltas.rename("delta").reset_index(), "delta", ["batch_size"], unit),
        "smoothness": _wide(later, "smoothness", step, unit),
        "smoothness_all_weights": _wide(later, "smoothness_all_weights", step, unit),
        "beta": _wide(start, "gradient_variance", ["batch_size"], unit),
        "beta_all_weights": _wide(start, "gradient_variance_all_weights", ["batch_size"], unit),
        "noise_scale": _wide(scale.reset_index(), "noise_scale", ["batch_size"], unit),
    }


def _wide(rows: pd.DataFrame, value: str, place: list[str], unit: str) -> pd.DataFrame:
    return rows.pivot_table(index=place, columns=unit, values=value, aggfunc="mean").dropna(how="all")


def measured(constant: pd.DataFrame) -> Estimate:
    """The mean over the batch sizes, of each over its steps; the interval needs two units at each batch size."""
    if constant.empty:
        return Estimate(math.nan)
    batch_size = constant.index.get_level_values("batch_size")
    weights = 1 / (pd.Series(1.0, constant.index).groupby(batch_size).transform("sum") * batch_size.nunique())
    return _interval([_mean(constant, weights)], [])


def predicted_ratio(own: Constants, dense: Constants, factors: Sequence[str]) -> Estimate:
    """c1 of a network over that of the dense one, the product of its factors' ratios (Appendix C).

    Each factor is averaged over the places that both have. The logarithm of each has the error that its units show.
    Where both networks were measured with the same units, what moves them together cancels.
    """
    above, below, paired = [], [], True
    for name in factors:
        common = own[name].index.intersection(dense[name].index)
        if common.empty:
            return Estimate(math.nan)
        weights = pd.Series(1 / len(common), common)
        both = [constant[name].loc[common].dropna(axis=1, how="all") for constant in (own, dense)]
        paired = paired and both[0].notna().equals(both[1].notna())
        above.append(_mean(both[0], weights))
        below.append(_mean(both[1], weights))
    if paired:
        return _interval([*above, *(Mean(-mean.log, -mean.moved, mean.degrees) for mean in below)], [])
    return _interval(above, below)


def _mean(constant: pd.DataFrame, weights: pd.Series) -> Mean:
    known, by_place = constant.notna(), constant.mean(axis=1)
    mean, units = float(by_place @ weights), known.sum(axis=1)
    enough = (known.groupby(level="batch_size").max().sum(axis=1) > 1).all()
    shares = weights / units * np.sqrt(units / (units - 1).clip(lower=1))
    moved = constant.sub(by_place, axis=0).mul(shares, axis=0).sum() / mean
    return Mean(math.log(mean) if mean > 0 else math.nan, moved, _degrees(known) if enough else 0)


def _degrees(known: pd.DataFrame) -> int:
    """The degrees of freedom of units about the means of their places: a set of places that share units takes one."""
    from scipy.sparse.csgraph import connected_components

    measured = known.loc[:, known.any()].to_numpy(float)
    return measured.shape[1] - int(connected_components(measured @ measured.T, directed=False)[0])


def _interval(above: Sequence[Mean], below: Sequence[Mean]) -> Estimate:
    """The product of the means above over those below, with the degrees of freedom of Welch and Satterthwaite.

    Of one network, all means move with its units together.
    """
    from scipy.stats import t

    log = sum(mean.log for mean in above) - sum(mean.log for mean in below)
    degrees = [min(mean.degrees for mean in side) for side in (above, below) if side]
    if math.isnan(log) or min(degrees) < 1:
        return Estimate(math.exp(log))
    squares = [_together(side) for side in (above, below) if side]
    variance = sum(squares)
    freedom = variance**2 / sum(s**2 / d for s, d in zip(squares, degrees, strict=True)) if variance > 0 else 1
    reach = float(t.ppf((1 + LEVEL) / 2, freedom)) * math.sqrt(variance)
    return Estimate(*np.exp([log, log - reach, log + reach]).tolist())


def _together(side: Sequence[Mean]) -> float:
    """The squared error of the logarithm of a product of means of the same units."""
    return float(pd.concat([mean.moved for mean in side]).groupby(level=0).sum().pow(2).sum())
