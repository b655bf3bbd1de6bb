"""The law K* = c1 / B + c2, fitted to the studies of one network."""

from __future__ import annotations

import pandas as pd

from dps.analysis.columns import CURVE
from dps.analysis.fits.curve import curve_of
from dps.analysis.fits.fit import Fit, fit

NEEDED = ("batch_size", "steps_to_result", "interval_steps")


def fit_law(studies: pd.DataFrame) -> Fit:
    """The most likely c1, c2 and c1 / c2, the critical batch size, each with its 95% interval.

    `studies` has a row for each batch size and replicate of one network: `batch_size` in examples, `steps_to_result`,
    which is K* in steps and empty where the goal was not reached, and `interval_steps` between two checks of it. Rows
    of the results that `dps.load` gives are such; without a column `replicate` all are of one, without `state` all are
    finished. ValueError where a column is missing, where the rows are of several networks, where a number is not
    positive, or where K* is known at fewer than three batch sizes.
    """
    if missing := [name for name in NEEDED if name not in studies]:
        raise ValueError(f"studies has no column {missing[0]}: give one row a study, with {', '.join(NEEDED)}")
    for name in CURVE:
        if name in studies and (several := studies[name].nunique()) > 1:
            raise ValueError(f"studies has {several} values of {name}: give the rows of one of them")
    rows = pd.DataFrame({"replicate": 0, "state": "finished"}, studies.index).assign(**studies)
    if rows.duplicated(["batch_size", "replicate"]).any():
        raise ValueError("studies has a batch size twice: number its repetitions in a column replicate")
    if wrong := [name for name in NEEDED if (rows[name].dropna() <= 0).any()]:
        raise ValueError(f"studies has a {wrong[0]} that is not positive")
    return fit(curve_of(rows))
