"""Made-up results for the claims, without noise, and what a claim says of them."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from planted_results import SHARED, B, results, study_rows

from dps.analysis.claims.judge import Claim, judge

HOLDS, FAILS, UNKNOWN = "holds", "does not hold", "not enough data"
EXPONENTS = {"exponent_low": 0.8, "exponent_high": 1.3}
Steps = Callable[[float], float | None]


def steps(c1: float = 40000, c2: float = 200) -> Steps:
    """K* = c1 / B + c2, found at the next of the checks that come every 16 steps."""
    return lambda b: 16 * np.ceil((c1 / b + c2) / 16)


def rows(of: Steps, b: Sequence[int] = B, replicates: int = 1, **columns: Any) -> pd.DataFrame:
    found = [[np.nan if (k := of(size)) is None else k for size in b]] * replicates
    return study_rows(found, b, **{"lr": 0.1, "boundary": "", "space": "", **columns})


def networks(dense: Steps, sparse: Steps, b: Sequence[int] = B, **columns: Any) -> pd.DataFrame:
    return pd.concat([rows(dense, b, **columns), rows(sparse, b, sparsity=0.9, **columns)])


def theory(**columns: Any) -> pd.DataFrame:
    """A dense and a 90% sparse row of theory.csv."""
    names: tuple[str, ...] = (
        "critical_batch_size",
        "critical_low",
        "critical_high",
        "critical_ratio",
        "critical_ratio_low",
    )
    ratios = [f"c1_ratio_{name}" for name in ("predicted", "measured", "predicted_all_weights")]
    names = (*names, "critical_ratio_high", *(f"{ratio}{end}" for ratio in ratios for end in ("", "_low", "_high")))
    two = {"workload": "w", "goal_error": 0.02, "pruning": "snip", "sparsity": [0.0, 0.9], "batch_sizes": 14}
    two["compared_batch_sizes"] = 14
    return pd.DataFrame({**two, **dict.fromkeys(names, np.nan), **EXPONENTS, **columns})


def measured(values: dict[float, Sequence[float]], trials: int = 10, b: Sequence[int] = (64,)) -> pd.DataFrame:
    """L of the trials about these values at steps 100, 200, ..., by sparsity; at step 0 it would refute the claim."""
    found = [
        {"sparsity": sparsity, "batch_size": size, "trial": trial, "step": 100 * step, "smoothness": L * (1 + trial)}
        for sparsity, row in values.items()
        for size in b
        for trial in range(trials)
        for step, L in enumerate([1e6 * (1 - sparsity), *row])
    ]
    frame = pd.DataFrame(found, columns=["sparsity", "batch_size", "trial", "step", "smoothness"])
    return frame.assign(
        smoothness_all_weights=2 * frame["smoothness"], replicate=0, workload="w", optimizer="sgd", **SHARED
    )


def trials(dense: Sequence[float], sparse: Sequence[float], b: Sequence[int] = B) -> pd.DataFrame:
    """20 trials at 0.1, 0.2, ..., of which each network completes those at these learning rates."""
    found = [
        {"sparsity": sparsity, "trial": trial, "lr": trial / 10, "batch_size": size, "complete": trial / 10 in rates}
        for sparsity, rates in ((0.0, dense), (0.9, sparse))
        for trial in range(1, 21)
        for size in b
    ]
    frame = pd.DataFrame(found).assign(replicate=0, workload="w", **SHARED)
    return frame.assign(status=np.where(frame.pop("complete"), "complete", "incomplete"))


def judged(number: int, **frames: pd.DataFrame) -> Claim:
    given = {"studies": networks(steps(), steps(80000, 400)), "trials": trials([], []), "theory": theory()}
    found = judge(results(**{**given, "smoothness": measured({}), **frames}))
    assert [one.number for one in found] == list(range(1, 9))
    one = found[number - 1]
    assert all((one.statement, one.figures, one.rule)) and "nan" not in one.figures and "inf" not in one.figures
    return one


def ends_named(name: str, two: Sequence[float]) -> dict[str, float]:
    return {f"{name}_low": two[0], f"{name}_high": two[1]}
