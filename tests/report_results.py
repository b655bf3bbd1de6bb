"""Made-up results of a report, as dps.analysis.results gathers them."""

from typing import Any

import pandas as pd

from dps.analysis.claims.judge import Claim
from dps.analysis.results import Results
from dps.analysis.theory_table import COLUMNS
from dps.storage import trial_rows

WHOLE: tuple[str, ...] = ("interval_steps", "max_steps", "batch_size", "trials", "complete", "incomplete", "infeasible")
WHOLE += ("censored", "steps_to_result", "best_trial", "decay_steps")


def study(batch_size: int, sparsity: float, steps: int | None, **other: Any) -> dict[str, Any]:
    """A row of study.csv."""
    found = steps is not None
    row = {
        "workload": "mnist_simple_cnn_momentum",
        "dataset": "mnist",
        "model": "simple_cnn",
        "optimizer": "momentum",
        "lr_schedule": "constant",
        "pruning": "snip",
        "goal_error": 0.02,
        "interval_steps": 16,
        "max_steps": 40000,
        "batch_size": batch_size,
        "sparsity": sparsity,
        "replicate": 0,
        "trials": 25,
        "complete": 11 if found else 0,
        "incomplete": 4 if found else 15,
        "infeasible": 10,
        "censored": 0,
        "steps_to_result": steps,
        "best_of_5": steps,
        "best_of_5_low": steps,
        "best_of_5_high": None if steps is None else steps + 160,
        **dict.fromkeys((f"best_of_{trials}{end}" for trials in (10, 25) for end in ("", "_low", "_high")), None),
        "train_seconds": 1.5 if found else None,
        "best_trial": 7 if found else None,
        "lr": 0.0123456 * batch_size / 16 if found else float("nan"),
        "momentum": 0.98765 if found else float("nan"),
        "decay_steps": None,
        "end_factor": float("nan"),
        "boundary": "",
        "space": "optimizer.lr=tag(log, interval(1e-4, 1))",
        "state": "finished",
        "command": f"dps -m workload=mnist_simple_cnn_momentum batch_size={batch_size} sparsity={sparsity}",
        "folder": f"outputs/batch_size={batch_size},sparsity={sparsity}",
    }
    return row | other


def theory(sparsity: float, c1: float, c2: float, **other: Any) -> dict[str, Any]:
    """A row of theory.csv."""
    row: dict[str, Any] = {**dict.fromkeys(COLUMNS, float("nan")), "workload": "mnist_simple_cnn_momentum"}
    row |= {"goal_error": 0.02, "sparsity": sparsity, "pruning": "snip", "batch_sizes": 6, "replicates": 1}
    for name, value in {"c1": c1, "c2": c2, "critical": c1 / c2, "critical_20": 0.2 * c1 / c2}.items():
        row |= {"critical_batch_size" if name == "critical" else name: value}
        row |= {f"{name}_low": 0.9 * value, f"{name}_high": 1.2 * value}
    return row | {"interval": "profile"} | other


def results(studies: list[dict[str, Any]], theories: list[dict[str, Any]], missing: list[str]) -> Results:
    """The rows as frames of the types that `gather` gives them."""
    frame = pd.DataFrame(studies)
    frame = frame.astype(dict.fromkeys(WHOLE, "Int64"))
    empty = pd.DataFrame(columns=["sparsity"])
    fits = pd.DataFrame(theories, columns=list(theory(0, 1, 1)))
    return Results(pd.DataFrame(columns=list(trial_rows.COLUMNS)), frame, fits, empty, empty, empty, empty, missing)


def claims() -> list[Claim]:
    """One of each verdict."""
    return [
        Claim(1, "Curves have three regimes.", "holds", "First slope -0.97, last -0.04.", "First at most -0.8."),
        Claim(2, "90% sparse takes 1.5 to 4.5 times the steps.", "does not hold", "Ratio 5.1.", "Within 1.5 to 4.5."),
        Claim(3, "The critical batch size grows.", "not enough data", "No fit at 0.9.", "Sparse at least dense."),
    ]
