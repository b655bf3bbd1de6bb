"""How often a verdict about the shape of curves is wrong on planted data: claims 1, 3 and 4."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from planted_results import B, Floats, exponent_of, results, seen, study_rows, theory_rows
from test_verdicts import Generator, count

from dps.analysis.claims.claim import verdict
from dps.analysis.claims.critical_batch import larger_critical_batch
from dps.analysis.claims.momentum import momentum_helps
from dps.analysis.claims.three_regions import has_regions

CURVES = 1000

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("truth", "shape", "noise", "replicates", "curves", "enough"),
    [
        ("true", lambda b: 40000 / b + 200, 0.1, 1, (1, 8, 44), 0.9),
        ("true", lambda b: 40000 / b + 200, 0.2, 1, (1, 8, 44), None),
        ("true", lambda b: 40000 / b + 200, 0.1, 3, (1, 8), None),
        ("true", lambda b: 1600 / b + 400, 0.1, 1, (8, 44), None),  # linear at no batch size: not contradicted
        ("true", lambda b: 1600000 / b + 200, 0.2, 1, (8, 44), None),  # flat at no batch size
        ("true", lambda b: np.hypot(40000 / b, 200), 0.1, 1, (1, 8, 44), None),  # bends more sharply
        ("border", lambda b: (np.sqrt(40000 / b) + np.sqrt(200)) ** 2, 0.1, 1, (1, 8), None),
        ("false", lambda b: 30000 / b**0.5, 0.1, 1, (1, 8, 44), 0.9),
        ("false", lambda b: 8000 / b**0.6 + 60, 0.2, 1, (1, 8), 0.5),
        ("false", lambda b: 20000 / b + 100 + b / 20, 0.1, 1, (1, 8), 0.9),  # rises in the end
    ],
)
def test_1_three_regions(
    truth: str, shape: Callable[[Floats], Floats], noise: float, replicates: int, curves: Any, enough: Any
) -> None:
    """Groups of curves are drawn from CURVES that are judged one by one."""
    generator = np.random.default_rng(1)
    cases = []
    for _ in range(CURVES):
        rows = study_rows(seen(shape(np.array(B, float)), noise, generator.normal(0, 0.1, replicates), generator))
        cases.append(
            has_regions(theory_rows(rows).assign(smallest=B[0], largest=B[-1], **exponent_of(rows)).iloc[0], rows)
        )
    print(truth, Counter(cases))
    for size in curves:
        count(truth, lambda g, size=size: verdict(list(g.choice(np.array(cases, object), size))), enough)  # type: ignore[misc]


@pytest.mark.parametrize(
    ("truth", "times", "noise", "replicates", "b", "enough"),
    [
        ("true", 4.0, 0.1, 1, B, 0.9),
        ("true", 1.0, 0.1, 1, B, None),
        ("true", 1.0, 0.1, 3, B[::2], None),
        ("true", 0.9, 0.1, 1, B, None),
        ("border", 0.8, 0.1, 1, B, None),
        ("border", 0.8, 0.1, 3, B[::2], None),
        ("false", 0.6, 0.1, 1, B, None),
        ("false", 0.25, 0.1, 1, B, 0.9),
        ("false", 0.25, 0.1, 3, B[::2], None),
    ],
)
def test_3_critical_batch(truth: str, times: float, noise: float, replicates: int, b: Any, enough: Any) -> None:
    """The sparse network's critical batch size is so many `times` the dense one's."""

    def drawn(generator: Generator) -> str:
        shared, x = generator.normal(0, 0.1, replicates), np.array(b, float)
        dense = study_rows(seen(40000 / x + 200, noise, shared, generator), b)
        sparse = study_rows(seen(2 * times * 40000 / x + 400, noise, shared, generator), b, sparsity=0.9)
        studies = pd.concat([dense, sparse])
        return larger_critical_batch(results(studies=studies, theory=theory_rows(studies))).verdict

    count(truth, drawn, enough)


@pytest.mark.parametrize(
    ("truth", "times", "steps", "noise", "replicates", "enough"),
    [
        ("true", 4.0, 0.25, 0.1, 1, 0.9),
        ("true", 2.0, 0.5, 0.1, 3, None),
        ("border", 1.0, 1.0, 0.1, 1, None),
        ("false", 0.3, 0.5, 0.1, 1, 0.8),
        ("false", 4.0, 1.5, 0.1, 1, 0.8),
    ],
)
def test_4_momentum(truth: str, times: float, steps: float, noise: float, replicates: int, enough: Any) -> None:
    """Momentum's critical batch size is so many `times` SGD's, and its c2 so many `steps` times."""

    def drawn(generator: Generator) -> str:
        shared, x = generator.normal(0, 0.1, replicates), np.array(B, float)
        sgd = seen(40000 / x + 400, noise, shared, generator)
        own = seen(steps * (times * 40000 / x + 400), noise, shared, generator)
        studies = pd.concat([study_rows(sgd, workload="a", optimizer="sgd"), study_rows(own)])
        return momentum_helps(results(studies=studies, theory=theory_rows(studies))).verdict

    count(truth, drawn, enough)
