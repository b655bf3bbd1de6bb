import math
import multiprocessing
import os
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import pytest

from dps.storage import measurements
from dps.storage.measurements import CURVES, NOISE, SMOOTHNESS, Measurement


def row(trial: int, step: int, value: float = 0.5) -> dict[str, float]:
    return {"trial": trial, "step": step, "smoothness": value, "smoothness_all_weights": value}


@pytest.mark.parametrize(
    ("kind", "header"),
    [
        (SMOOTHNESS, "trial,step,smoothness,smoothness_all_weights"),
        (NOISE, "trial,step,gradient_variance,gradient_squared_norm,noise_scale,gradient_variance_all_weights"),
        (CURVES, "trial,step,train_loss,train_error,validation_loss,validation_error"),
    ],
)
def test_files_and_columns(tmp_path: Path, kind: Measurement, header: str) -> None:
    values = {name: 0.25 * n for n, name in enumerate(header.split(",")[2:])}
    measurements.merge(tmp_path, kind, [{"trial": 1, "step": 100, **values}])
    lines = (tmp_path / f"{kind.name}.csv").read_text().splitlines()
    assert lines == [header, ",".join(["1", "100", *(str(value) for value in values.values())])]
    frame = measurements.read(tmp_path, kind)
    assert frame.to_dict("records") == [{"trial": 1, "step": 100, **values}]


def test_rows_are_sorted_by_trial_and_step_and_replaced(tmp_path: Path) -> None:
    measurements.merge(tmp_path, SMOOTHNESS, [row(10, 0), row(2, 100), row(2, 0)])
    measurements.merge(tmp_path, SMOOTHNESS, [row(2, 100, 7.0), row(2, 20)])
    frame = measurements.read(tmp_path, SMOOTHNESS)
    assert list(zip(frame["trial"], frame["step"], strict=True)) == [(2, 0), (2, 20), (2, 100), (10, 0)]
    assert frame["smoothness"].tolist() == [0.5, 0.5, 7.0, 0.5]
    lines = (tmp_path / "smoothness.csv").read_text().splitlines()[1:]
    assert [line.split(",")[:2] for line in lines] == [["2", "0"], ["2", "20"], ["2", "100"], ["10", "0"]]
    assert {path.name for path in tmp_path.iterdir()} <= {"smoothness.csv", ".trials.lock"}


def test_values_read_back_to_the_last_bit_and_undefined_ones_are_empty(tmp_path: Path) -> None:
    values = [0.1 + 0.2, 5e-324, 1.7976931348623157e308, math.nextafter(1, 0), math.inf, -0.0, math.nan]
    measurements.merge(tmp_path, SMOOTHNESS, [row(0, step, value) for step, value in enumerate(values)])
    assert (tmp_path / "smoothness.csv").read_text().endswith("\n0,6,,\n")
    found = measurements.read(tmp_path, SMOOTHNESS)["smoothness"].tolist()
    assert [value.hex() for value in found] == [value.hex() for value in values]


def test_no_file_is_a_study_without_measurements(tmp_path: Path) -> None:
    measurements.merge(tmp_path, NOISE, [{"trial": 0, "step": 0, **dict.fromkeys(NOISE.values, 1.0)}])
    empty = measurements.read(tmp_path / "none", NOISE)
    assert empty.empty and empty.dtypes.equals(measurements.read(tmp_path, NOISE).dtypes)


def _merge_one_by_one(folder: Path, start: Barrier, trials: list[int]) -> None:
    start.wait()
    for trial in trials:
        measurements.merge(folder, SMOOTHNESS, [row(trial, 0)])


def test_processes_that_merge_at_once_lose_no_row(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    start = context.Barrier(3)
    jobs = [
        context.Process(target=_merge_one_by_one, args=(tmp_path, start, list(range(job, 45, 3)))) for job in range(3)
    ]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()
    assert [job.exitcode for job in jobs] == [0, 0, 0]
    assert measurements.read(tmp_path, SMOOTHNESS)["trial"].tolist() == list(range(45))


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measurements.merge(tmp_path, SMOOTHNESS, [row(0, 0)])
    before = (tmp_path / "smoothness.csv").read_bytes()

    def fail(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", fail)
        with pytest.raises(OSError, match=r"No space left on device: .*smoothness.csv"):
            measurements.merge(tmp_path, SMOOTHNESS, [row(1, 0)])
    assert (tmp_path / "smoothness.csv").read_bytes() == before


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("0.5", "0.s", "line 2, column smoothness: '0.s' is not a number"),
        ("3,100", "3.5,100", "line 2, column trial: '3.5' is not an integer"),
        ("3,100", "3,", "line 2, column step: '' is not an integer"),
        ("3,100", "100", "line 2 has 3 values, not 4"),
        ("0.5\n", "0.5", "line 2 is cut short"),
        ("0.5\n", "0.5\n\n", "line 3 has 0 values, not 4"),
        ("0.5\n", '"0.5\n', "line 2: "),
        ("0.5\n", "0.5\n3,100,0.7,0.7\n", "line 3 repeats trial 3 at step 100"),
        ("trial,step", "step,trial", "line 1 does not name the columns in the order trial, step, smoothness"),
        ("trial,step,smoothness,smoothness_all_weights\n", "", "line 1 lacks the column"),
        ("0.5", "0\udcff5", "is not UTF-8 text"),
    ],
)
def test_damage_is_named_and_nothing_is_overwritten(tmp_path: Path, old: str, new: str, message: str) -> None:
    measurements.merge(tmp_path, SMOOTHNESS, [row(3, 100)])
    path = tmp_path / "smoothness.csv"
    text = path.read_text()
    assert old in text
    path.write_bytes(text.replace(old, new).encode("utf-8", "surrogateescape"))
    damaged = path.read_bytes()
    for action in (
        lambda: measurements.read(tmp_path, SMOOTHNESS),
        lambda: measurements.merge(tmp_path, SMOOTHNESS, [row(1, 0)]),
    ):
        with pytest.raises(ValueError, match=message) as error:
            action()
        assert str(error.value).startswith(f"{path} is damaged: ") and "\n" not in str(error.value)
    assert path.read_bytes() == damaged
