"""theory.csv: for each curve of K* its fit, and the constants that the theory says it comes from."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from dps.analysis.columns import CURVE, GRID, WORKLOAD
from dps.analysis.constants import (
    CONSTANTS,
    FACTORS,
    FACTORS_ALL_WEIGHTS,
    Constants,
    constants_of,
    measured,
    predicted_ratio,
)
from dps.analysis.fits.curve import Curve, curve_of, in_common
from dps.analysis.fits.estimate import Estimate
from dps.analysis.fits.fit import fit
from dps.analysis.fits.misfit import exponent, misfit
from dps.analysis.fits.overhead import critical_at_overhead
from dps.analysis.fits.ratios import c1_ratio, critical_ratio
from dps.analysis.networks import of_criterion, recorded_with
from dps.analysis.theory import LEAST_BATCH_SIZES

FITTED = ("c1", "c2", "critical_batch_size", "critical_20", "exponent")
RATIOS = ("c1_ratio_measured", "critical_ratio", "c1_ratio_predicted", "c1_ratio_predicted_all_weights")
ENDS = {  # of each number, the columns that hold the ends of its 95% interval
    name: (f"{name}_low", f"{name}_high") if name != "critical_batch_size" else ("critical_low", "critical_high")
    for name in (*FITTED, *CONSTANTS, *RATIOS)
}
COLUMNS = (
    *("workload", "goal_error", "sparsity", "pruning", "batch_sizes", "replicates"),
    *(column for name in FITTED for column in (name, *ENDS[name])),
    *("misfit_p", "noise", "interval"),
    *(column for name in CONSTANTS for column in (name, *ENDS[name])),
    *("compared_batch_sizes", *(column for name in RATIOS for column in (name, *ENDS[name]))),
)
NOT_REAL = dict.fromkeys(("workload", "pruning", "interval"), "str")
NOT_REAL |= dict.fromkeys(("batch_sizes", "replicates", "compared_batch_sizes"), "Int64")


def theory_of_curves(
    studies: pd.DataFrame, smoothness: pd.DataFrame, noise: pd.DataFrame, losses: pd.DataFrame
) -> pd.DataFrame:
    """A row for each curve of K* in the studies; an end of an interval that the data leave open is empty."""
    rows, curves, found = [], [], []
    for key, of_curve in studies.groupby(list(CURVE)):
        curves.append(curve_of(of_curve))
        found.append(constants_of(*(_of_network(frame, of_curve.iloc[0]) for frame in (smoothness, noise, losses))))
        rows.append(dict(zip(CURVE, key, strict=True)) | _fitted(curves[-1]))
        rows[-1] |= _columns({name: measured(constant) for name, constant in found[-1].items()})
    networks = pd.DataFrame(rows, columns=list(CURVE))
    for row, curve, own in zip(rows, curves, found, strict=True):
        if (dense := _dense(networks, row)) is not None:
            row.update(_measured_ratios(*in_common(curve, curves[dense])) | _predicted_ratios(own, found[dense]))
    types = {name: NOT_REAL.get(name, "float64") for name in COLUMNS}
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(types)


def _fitted(curve: Curve) -> dict[str, Any]:
    row: dict[str, Any] = {"batch_sizes": len(curve.known()), "replicates": len(curve.replicates), "interval": ""}
    if len(curve.known()) < LEAST_BATCH_SIZES:
        return row
    found = fit(curve)
    numbers = {
        "c1": found.c1,
        "c2": found.c2,
        "critical_batch_size": found.critical_batch_size,
        "critical_20": critical_at_overhead(curve, found),
        "exponent": exponent(curve),
    }
    return row | _columns(numbers) | {"misfit_p": misfit(curve), "noise": found.sigma, "interval": found.interval}


def _measured_ratios(own: Curve, dense: Curve) -> dict[str, float]:
    """The ratios of the fits to two curves in common, and how many batch sizes they have."""
    count: dict[str, float] = {"compared_batch_sizes": len(own.batch_sizes)}
    if len(own.batch_sizes) < LEAST_BATCH_SIZES:
        return count
    return count | _columns({"c1_ratio_measured": c1_ratio(own, dense), "critical_ratio": critical_ratio(own, dense)})


def _predicted_ratios(own: Constants, dense: Constants) -> dict[str, float]:
    factors = {"c1_ratio_predicted": FACTORS, "c1_ratio_predicted_all_weights": FACTORS_ALL_WEIGHTS}
    return _columns({name: predicted_ratio(own, dense, of) for name, of in factors.items()})


def _columns(numbers: Mapping[str, Estimate]) -> dict[str, float]:
    """The columns of numbers and of the ends of their intervals; nan in place of what is infinite."""
    return {
        column: value if math.isfinite(value) else math.nan
        for name, estimate in numbers.items()
        for column, value in zip((name, *ENDS[name]), estimate, strict=True)
    }


def _of_network(measurements: pd.DataFrame, study: pd.Series[Any]) -> pd.DataFrame:
    """The measurements of the network of a study and of its workload, at any batch size."""
    same = [measurements[name] == study[name] for name in (*WORKLOAD, "sparsity")]
    return of_criterion(measurements[np.logical_and.reduce(same)], study["pruning"])


def _dense(curves: pd.DataFrame, row: Mapping[str, Any]) -> int | None:
    """Which row of the curves is the dense network of the same grid; None where there is none, or it is the row."""
    of_grid = np.logical_and.reduce([curves[name] == row[name] for name in GRID])
    dense = recorded_with(curves[of_grid & (curves["sparsity"] == 0)], row["pruning"], GRID)
    return None if dense.empty or row["sparsity"] == 0 else int(dense.index[0])
