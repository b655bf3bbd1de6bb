"""Results with planted truths and noise, for the claims.

R replicates    M batch sizes
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from dps.analysis.columns import CURVE
from dps.analysis.fits.curve import curve_of, in_common
from dps.analysis.fits.fit import ends_of, most_likely
from dps.analysis.fits.misfit import exponent
from dps.analysis.fits.profile import CRITICAL_BATCH_SIZE
from dps.analysis.fits.ratios import critical_ratio
from dps.analysis.results import Results

Floats = NDArray[np.float64]
B = tuple(2**n for n in range(1, 15))
INTERVAL = 16  # steps
SHARED = {"dataset": "mnist", "model": "cnn", "lr_schedule": "constant", "pruning": "snip", "goal_error": 0.02}
STUDY: dict[str, Any] = SHARED | {
    "trials": 16,
    "interval_steps": INTERVAL,
    "max_steps": 40000,
    "state": "finished",
    "censored": 0,
}


def study_rows(
    steps: ArrayLike, b: Sequence[int] = B, workload: str = "w", sparsity: float = 0.0, **columns: Any
) -> pd.DataFrame:
    """Finished studies with these K* (R, M) in steps, nan where the goal was not reached."""
    steps = np.atleast_2d(np.asarray(steps, float))
    replicate, column = np.indices(steps.shape)
    frame = pd.DataFrame({"replicate": replicate.ravel(), "batch_size": np.asarray(b)[column.ravel()]})
    named = STUDY | {"workload": workload, "optimizer": "momentum", "sparsity": sparsity} | columns
    frame = frame.assign(**named, steps_to_result=steps.ravel())
    return frame.astype(dict.fromkeys(("replicate", "batch_size", "steps_to_result"), "Int64"))


def seen(true: ArrayLike, noise: float, shared: ArrayLike, generator: np.random.Generator) -> Floats:
    """K* (R, M) at the next check about true steps (M,), with the replicates' shared log effects (R,)."""
    true, shared = np.asarray(true, float), np.asarray(shared, float)
    logs = np.log(true) + shared[:, None] + generator.normal(0, noise, (len(shared), len(true)))
    return INTERVAL * np.ceil(np.exp(logs) / INTERVAL)


def results(**frames: pd.DataFrame) -> Results:
    """Results of these frames, the others empty."""
    names = ("trials", "studies", "theory", "budgets", "smoothness", "noise", "curves")
    return Results(**{name: frames.get(name, pd.DataFrame()) for name in names}, missing=[])


def theory_rows(studies: pd.DataFrame) -> pd.DataFrame:
    """Of theory.csv the critical batch size of each curve, and its ratio to the first curve's, the dense one."""
    curves = [(key, curve_of(rows)) for key, rows in studies.groupby(list(CURVE))]
    found = []
    for key, curve in curves:
        row = dict(zip(CURVE, key, strict=True)) | {"batch_sizes": len(curve.batch_sizes)}
        row |= _with_ends("critical", ends_of(curve, CRITICAL_BATCH_SIZE))
        both = in_common(curve, curves[0][1])
        row["compared_batch_sizes"] = len(both[0].batch_sizes)
        ratio = critical_ratio(*both)
        row |= {"critical_batch_size": most_likely(curve)[2], "critical_ratio": ratio.value}
        found.append(row | _with_ends("critical_ratio", ratio[1:]))
    return pd.DataFrame(found)


def exponent_of(studies: pd.DataFrame) -> dict[str, float]:
    """The interval of the exponent of one curve."""
    return _with_ends("exponent", exponent(curve_of(studies))[1:])


def _with_ends(name: str, ends: Any) -> dict[str, float]:
    return {f"{name}{end}": float(value) for end, value in zip(("_low", "_high"), ends, strict=True)}
