"""`dps.load` and `dps.fit_law`: what a notebook reads and fits."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from planted import curve

import dps
from dps.analysis.fits.fit import fit

B = [4, 16, 64, 256]


def studies(steps: list[float], **columns: object) -> pd.DataFrame:
    return pd.DataFrame({"batch_size": B, "steps_to_result": steps, "interval_steps": 16, **columns})


def test_the_law_is_fitted_to_rows_of_studies() -> None:
    steps = [800.0, 240, 96, 64]
    found = dps.fit_law(studies(steps))
    assert found == fit(curve(B, steps))
    shuffled = studies(steps).iloc[[2, 0, 3, 1]]
    assert dps.fit_law(shuffled) == found
    running = pd.concat([studies(steps), studies([1.0] * 4, state="unfinished", replicate=1)]).fillna(
        {"state": "finished", "replicate": 0}
    )
    assert dps.fit_law(running) == found
    twice = pd.concat([studies(steps, replicate=0), studies([900.0, 260, 112, 64], replicate=1)])
    np.testing.assert_allclose(
        dps.fit_law(twice).c1, fit(curve(B, [steps, [900.0, 260, 112, 64]])).c1, rtol=0, equal_nan=True
    )


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        (studies([800.0, 240, 96, 64]).drop(columns="interval_steps"), "no column interval_steps"),
        (studies([800.0, 240, 96, 64], sparsity=[0, 0, 0.9, 0.9]), "2 values of sparsity"),
        (pd.concat([studies([800.0, 240, 96, 64])] * 2), "a batch size twice"),
        (studies([800.0, 240, 96, 0]), "a steps_to_result that is not positive"),
        (studies([800.0, 240, math.nan, math.nan]), "K\\* is known at 2 batch sizes"),
    ],
)
def test_what_is_no_curve_is_refused(rows: pd.DataFrame, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        dps.fit_law(rows)


def test_an_absent_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="absent is not a folder"):
        dps.load(tmp_path / "absent")
