"""Made-up trials and measurements of a report, and the results that come of them."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from dps.analysis.results import Results
from dps.storage import records, trial_rows

BATCH_SIZES = (4, 8, 16, 32, 64, 128, 256, 512, 1024)
SPARSITIES = (0.0, 0.5, 0.7, 0.9)
SPACE = "optimizer.lr=tag(log, interval(1e-6, 10)); optimizer.momentum=tag(one_minus, log, interval(0.9, 0.999999))"
MEASURED = [
    "workload",
    "dataset",
    "model",
    "optimizer",
    "lr_schedule",
    "pruning",
    "batch_size",
    "sparsity",
    "replicate",
]
TYPES = {str: "str", int: "Int64", float: "float64"}
LOGS = ("train_loss", "train_error", "validation_loss", "validation_error")


def made_up_trials(
    batch_sizes: Sequence[int] = BATCH_SIZES,
    sparsities: Sequence[float] = SPARSITIES,
    trials: int = 6,
    race: bool = False,
    **changed: Any,
) -> pd.DataFrame:
    """Trials whose best lr grows with the batch size, with all four statuses where there are enough of them."""
    common: dict[str, Any] = {"workload": "mnist_simple_cnn_momentum", "dataset": "mnist", "model": "simple_cnn"}
    common |= {"optimizer": "momentum", "lr_schedule": "constant", "pruning": "snip", "goal_error": 0.02}
    common |= {"interval_steps": 16, "max_steps": 40000, **changed}
    generator = np.random.default_rng(0)
    rows = []
    for batch_size in batch_sizes:
        for sparsity in sparsities:
            study: list[dict[str, Any]] = []
            for trial in range(trials):
                lr, momentum = 10 ** generator.uniform(-4, 0), 1 - 10 ** generator.uniform(-4, -1)
                if trial == 0:  # always reaches the goal
                    lr, momentum = 0.0015 * batch_size**0.5, 0.93
                row = {**common, "batch_size": batch_size, "sparsity": sparsity, "trial": trial, "seed": trial}
                row["replicate"] = 0
                row |= {"lr": lr, "momentum": None if common["optimizer"] == "sgd" else momentum}
                if common["lr_schedule"] == "linear":
                    row |= {"decay_steps": int(generator.integers(30000, 60000))}
                    row |= {"end_factor": 10 ** generator.uniform(-4, -1)}
                study.append(row | _outcome(lr, row["momentum"], batch_size, sparsity))
            best = min((row["steps_to_result"] for row in study if row["status"] == "complete"), default=None)
            for row in study:
                if race and best is not None and row["steps_run"] > best:
                    row |= {"status": "censored", "steps_run": best, "steps_to_result": None}
            rows += study
    columns = {
        name: pd.Series([row.get(name) for row in rows], dtype=TYPES[kind]) for name, kind in trial_rows.TYPES.items()
    }
    return pd.DataFrame(columns)


def _outcome(lr: float, momentum: float | None, batch_size: int, sparsity: float) -> dict[str, Any]:
    speed = lr / (1 - momentum) if momentum else 10 * lr
    distance = abs(math.log10(speed) - math.log10(0.02 * batch_size**0.5))
    width = (0.6 + 0.12 * math.log2(batch_size)) * (1 - 0.3 * sparsity)
    if distance > width:
        diverged = speed > batch_size**0.5 * 0.02 and distance > 2 * width
        return {"status": "infeasible", "steps_run": 48} if diverged else {"status": "incomplete", "steps_run": 40000}
    steps = (20000 / batch_size + 60) * (1 + 2 * sparsity**2) * (1 + distance**2)
    checked = 16 * math.ceil(steps / 16)
    return {"status": "complete", "steps_run": checked, "steps_to_result": checked}


def made_up(trials: pd.DataFrame, **frames: pd.DataFrame) -> Results:
    """Results of these trials: K* of each study, a made-up fit, and no measurements but those given."""
    shared = [*MEASURED[:6], "goal_error", "interval_steps", "max_steps", "batch_size", "sparsity", "replicate"]
    rows = []
    for key, study in trials.groupby(shared):
        best = records.best(study)
        steps = None if best is None else best["steps_to_result"]
        row = {**dict(zip(shared, key, strict=True)), "trials": len(study), "steps_to_result": steps}
        row |= {"state": "finished", "folder": "/".join(map(str, key)), "space": SPACE}
        row |= {"train_seconds": None if steps is None else 0.01 * steps}
        rows.append(row)
    studies = pd.DataFrame(rows)
    studies = studies.astype({"steps_to_result": "Int64", "batch_size": "Int64"})
    curves = trials[["workload", "goal_error", "pruning", "sparsity"]].drop_duplicates()
    growth = 1 + 2 * curves["sparsity"] ** 2
    empty = {"trial": pd.Series(dtype="Int64"), "step": pd.Series(dtype="Int64")}
    nothing = pd.DataFrame({**{name: pd.Series(dtype="str") for name in MEASURED}, **empty})
    given: dict[str, Any] = {
        "theory": curves.assign(c1=20000.0 * growth, c2=60.0 * growth, critical_batch_size=1000 / 3).assign(
            critical_low=250.0, critical_high=math.nan
        ),
        "smoothness": nothing.assign(smoothness=pd.Series(dtype=float)),
        "curves": nothing.assign(**{name: pd.Series(dtype=float) for name in LOGS}),
        "noise": nothing,
        "budgets": pd.DataFrame(),
        "missing": [],
    }
    return Results(**(given | {"trials": trials, "studies": studies} | frames))


def made_up_measurements(trials: Sequence[int] = (0, 1, 2), batch_sizes: Sequence[int] = (64,)) -> pd.DataFrame:
    """Smoothness and training logs, every 100 steps."""
    common = ("mnist_simple_cnn_momentum", "mnist", "simple_cnn", "momentum", "constant", "snip")
    rows = []
    for batch_size in batch_sizes:
        for sparsity in SPARSITIES:
            for trial in trials:
                for step in range(0, 2001, 100):
                    noise = 1 + 0.2 * math.sin(step + 7 * trial)
                    loss = 0.05 + 2.3 * math.exp(-step / (300 * (1 + sparsity)))
                    values: tuple[float, ...] = (0.5 * (1 + 2 * sparsity**3) * noise * (1 + 3 * math.exp(-step / 200)),)
                    values += (loss * noise, loss / 3 * noise, 1.1 * loss, loss / 2.9)
                    rows.append((*common, batch_size, sparsity, 0, trial, step, *values))
    frame = pd.DataFrame(rows, columns=[*MEASURED, "trial", "step", "smoothness", *LOGS])
    return frame.astype({"batch_size": "Int64", "trial": "Int64", "step": "Int64"})
