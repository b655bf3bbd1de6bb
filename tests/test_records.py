import math
import multiprocessing
import os
import random
import subprocess
import sys
from functools import partial
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from dps.protocol.metaparameters import ADDED, TABLE
from dps.storage import configurations, records

ORDER = (
    "workload,dataset,model,optimizer,lr_schedule,pruning,batch_size,sparsity,replicate,trial,seed,lr,momentum,decay_steps,"
    "end_factor,warmup_steps,beta1,beta2,eps,weight_decay,label_smoothing,goal_error,interval_steps,max_steps,"
    "status,steps_to_result,steps_run,validation_error,test_error,train_seconds,evaluate_seconds"
)


refuse = partial(records.refuse_conflict, searched=TABLE, elsewhere="wait")


def row(trial: int, **values: Any) -> dict[str, Any]:
    study = {"workload": "w", "optimizer": "momentum", "batch_size": 64, "sparsity": 0.9, "goal_error": 0.02}
    return {**study, "replicate": 0, "trial": trial, "seed": trial, "lr": 0.01, "status": "incomplete", **values}


def complete(trial: int, steps: int) -> dict[str, Any]:
    return row(trial, status="complete", steps_to_result=steps)


def test_numbers_read_back_to_the_last_bit(tmp_path: Path) -> None:
    generator = random.Random(0)
    floats = [0.1 + 0.2, 1 / 3, 5e-324, 1.7976931348623157e308, math.nextafter(1, 0), 1e-05, -0.0]
    floats += [10 ** generator.uniform(-12, 12) for _ in range(500)]
    records.merge(tmp_path, [row(trial, wd=value, seed=2**53 + 1) for trial, value in enumerate(floats)], ["wd"])
    frame = records.read(tmp_path)
    assert [value.hex() for value in frame["wd"]] == [value.hex() for value in floats]
    assert frame["seed"].tolist() == [2**53 + 1] * len(floats)


def test_columns_types_and_empty_values(tmp_path: Path) -> None:
    records.merge(tmp_path, [row(0, momentum=math.nan, steps_run=16, dataset='a "quoted", name')])
    lines = (tmp_path / records.FILE).read_text().splitlines()
    assert lines[0] == ORDER
    assert lines[1].startswith('w,"a ""quoted"", name",,momentum,,,64,0.9,0,0,0,0.01,,,')
    frame = records.read(tmp_path)
    dtypes = {name: str(dtype) for name, dtype in frame.dtypes.items()}
    assert (dtypes["steps_to_result"], dtypes["momentum"], dtypes["dataset"]) == ("Int64", "float64", "str")
    first = frame.iloc[0]
    assert first["dataset"] == 'a "quoted", name' and first["pruning"] == ""
    assert pd.isna(first["momentum"]) and first["steps_to_result"] is pd.NA and first["steps_run"] == 16


def test_no_file_is_a_study_without_trials(tmp_path: Path) -> None:
    records.merge(tmp_path, [row(0)])
    empty = records.read(tmp_path / "none")
    assert empty.empty and empty.dtypes.equals(records.read(tmp_path).dtypes)
    assert records.best(empty) is None


def test_merge_replaces_the_same_trial_and_sorts(tmp_path: Path) -> None:
    records.merge(tmp_path, [row(10), row(2)])
    records.merge(tmp_path, [complete(10, 48), row(0, status="infeasible")])
    frame = records.read(tmp_path)
    assert frame["trial"].tolist() == [0, 2, 10]
    assert frame["status"].tolist() == ["infeasible", "incomplete", "complete"]
    assert {path.name for path in tmp_path.iterdir()} <= {records.FILE, ".trials.lock"}


def _merge_one_by_one(folder: Path, start: Barrier, trials: list[int]) -> None:
    start.wait()
    for trial in trials:
        records.merge(folder, [row(trial)])


def test_processes_that_merge_at_once_lose_no_trial(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    start = context.Barrier(3)
    jobs = [
        context.Process(target=_merge_one_by_one, args=(tmp_path, start, list(range(job, 60, 3)))) for job in range(3)
    ]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()
    assert [job.exitcode for job in jobs] == [0, 0, 0]
    assert records.read(tmp_path)["trial"].tolist() == list(range(60))


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records.merge(tmp_path, [row(0)])
    before = (tmp_path / records.FILE).read_bytes()

    def fail(source: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", fail)
        with pytest.raises(OSError, match=r"No space left on device: .*trials.csv"):
            records.merge(tmp_path, [row(1)])
    assert (tmp_path / records.FILE).read_bytes() == before
    records.merge(tmp_path, [row(1)])
    assert records.read(tmp_path)["trial"].tolist() == [0, 1]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("0.01", "0.0l", r"line 2, column lr: '0.0l' is not a number"),
        (",64,", ",64.5,", r"line 2, column batch_size: '64.5' is not an integer"),
        ("incomplete", "done", r"line 2, column status: 'done' is not one of complete, incomplete"),
        ("incomplete", "complete", r"line 2, column steps_to_result"),
        ("lr,momentum", "rate,momentum", r"lacks the column lr;"),
        ("train_seconds,", "train_seconds,extra,", r"unknown column extra;"),
        ("lr,momentum", "momentum,lr", r"does not name the columns in the order workload,"),
        ("w,,", "w,", r"line 2 has 30 values, not 31"),
        ("w,,", '"w,,', r"line \d: "),
        (",,,\n", ",,,", r"line 2 is cut short"),
        ("w,,", "w\udcff,,", r"is not UTF-8 text"),
    ],
)
@pytest.mark.fault("a damaged or foreign row of trials.csv")
def test_damage_is_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    records.merge(tmp_path, [row(0)])
    path = tmp_path / records.FILE
    text = path.read_text()
    assert old in text
    path.write_bytes(text.replace(old, new).encode("utf-8", "surrogateescape"))
    damaged = path.read_bytes()
    for action in (lambda: records.read(tmp_path), lambda: records.merge(tmp_path, [row(1)])):
        with pytest.raises(ValueError, match=message) as error:
            action()
        assert str(path) in str(error.value) and "\n" not in str(error.value)
    assert path.read_bytes() == damaged


SHARED: dict[str, Any] = {
    "workload": "w",
    "dataset": "d",
    "model": "m",
    "optimizer": "momentum",
    "lr_schedule": "constant",
}
SHARED |= {"pruning": "snip", "interval_steps": 16, "max_steps": 64, "momentum": 0.9, "decay_steps": 30}
ENDS: dict[str, Any] = {
    "status": "complete",
    "steps_to_result": 32,
    "steps_run": 32,
    "validation_error": 0.02,
    "test_error": 0.03,
}
ENDS |= {"train_seconds": 1.5, "evaluate_seconds": 0.5, "wd": 0.25}


def edited(folder: Path, column: str, text: str) -> Path:
    """A record of two whole rows, with another text in this column of the second."""
    folder.mkdir(exist_ok=True)
    path = folder / records.FILE
    records.merge(folder, [row(trial, **SHARED, **ENDS) for trial in (0, 1)], ["wd"])
    header, first, second = (line.split(",") for line in path.read_text().splitlines())
    second[header.index(column)] = text
    path.write_text("".join(",".join(line) + "\n" for line in (header, first, second)))
    return path


@pytest.mark.parametrize(
    ("column", "text", "what"),
    [
        ("trial", "-7", "-7 is not in [0, 9223372036854775808)"),
        ("trial", "9" * 19, f"{'9' * 19} is not in [0, 9223372036854775808)"),
        ("trial", "", "it is empty"),
        ("seed", "-1", "-1 is not in [0, 9223372036854775808)"),
        ("batch_size", "0", "0 is not in [1, 9223372036854775808)"),
        ("sparsity", "1.0", "1.0 is not in [0, 1)"),
        ("lr", "-0.1", "-0.1 is not in (0, inf)"),
        ("lr", "nan", "nan is not a number"),
        ("momentum", "1e999", "inf is not a number"),
        ("decay_steps", "0", "0 is not in (0, inf)"),
        ("wd", "-inf", "-inf is not a number"),
        ("batch_size", "9" * 5000, f"'{'9' * 5000}' is not an integer"),
        ("goal_error", "2", "2.0 is not in [0, 1)"),
        ("validation_error", "7", "7.0 is not in [0, 1]"),
        ("test_error", "-0.1", "-0.1 is not in [0, 1]"),
        ("train_seconds", "-1", "-1.0 is not in [0, inf)"),
        ("evaluate_seconds", "inf", "inf is not a number"),
        ("steps_to_result", "33", "33 is no multiple of interval_steps, 16"),
        ("steps_to_result", "80", "80 is more than max_steps, 64"),
        ("steps_to_result", "16", "32 is not 16, where a trial that is complete ends"),
        ("steps_run", "96", "96 is more than max_steps, 64"),
        ("steps_run", "48", "48 is not 32, where a trial that is complete ends"),
        ("status", "censored", "exactly the complete trials have one"),
    ],
)
@pytest.mark.fault("a damaged or foreign row of trials.csv")
def test_what_no_trial_can_be_is_named_with_its_line_and_column(
    tmp_path: Path, column: str, text: str, what: str
) -> None:
    path = edited(tmp_path, column, text)
    for action in (lambda: records.read(tmp_path), lambda: records.merge(tmp_path, [row(2)])):
        with pytest.raises(ValueError) as error:
            action()
        sentence = str(error.value)
        assert sentence.startswith(f"{path} is damaged: line 3, column ") and sentence.count("\n") == 0
        assert f": {what}; {records.REMEDY}" in sentence
    trial_that_ran_on = row(2, interval_steps=16, max_steps=64, steps_run=48)
    with pytest.raises(ValueError, match="48 is not 64, where a trial that is incomplete ends"):
        records.merge(tmp_path / "none", [trial_that_ran_on])


@pytest.mark.parametrize(
    ("column", "text", "own"),
    [
        *(("batch_size", "32", "64"), ("sparsity", "0.5", "0.9"), ("workload", "v", "w"), ("replicate", "1", "0")),
        *(("goal_error", "0.03", "0.02"), ("interval_steps", "8", "16"), ("max_steps", "80", "64")),
        *(
            ("dataset", "e", "d"),
            ("model", "n", "m"),
            ("pruning", "grasp", "snip"),
            ("lr_schedule", "linear", "constant"),
        ),
    ],
)
@pytest.mark.fault("a damaged or foreign row of trials.csv")
def test_a_row_of_another_study_is_named(tmp_path: Path, column: str, text: str, own: str) -> None:
    goal = {"error": 0.02, "interval_steps": 16}
    names = {name: SHARED[name] for name in configurations.NAMES}
    study = {"workload": "w", "batch_size": 64, "sparsity": 0.9, "replicate": 0, "max_steps": 64}
    path = edited(tmp_path, column, text)
    (tmp_path / ".hydra").mkdir()
    (tmp_path / configurations.FILE).write_text(yaml.safe_dump({**study, "goal": goal, "names": names}))
    with pytest.raises(ValueError) as error:
        records.read(tmp_path)
    what = f"line 3, column {column}: {text} is not the study's, {own}, which .hydra/config.yaml has"
    assert str(error.value) == f"{path} is damaged: {what}; {records.REMEDY}"


def test_a_linked_record_is_written_through(tmp_path: Path) -> None:
    disk, studies = tmp_path / "big disk", tmp_path / "studies"
    for folder in (disk, studies):
        folder.mkdir()
    (studies / records.FILE).symlink_to(disk / "rows.csv")  # where nothing is yet
    for trial in (0, 1):
        records.merge(studies, [row(trial)])
    assert (studies / records.FILE).is_symlink() and {path.name for path in disk.iterdir()} == {"rows.csv"}
    assert records.read(studies)["trial"].tolist() == [0, 1]
    assert (disk / "rows.csv").read_text().count("\n") == 3


def test_a_repeated_trial_and_an_empty_file_are_damage(tmp_path: Path) -> None:
    records.merge(tmp_path, [row(3)])
    path = tmp_path / records.FILE
    path.write_text(path.read_text() + path.read_text().splitlines()[1] + "\n")
    with pytest.raises(ValueError, match="line 3 repeats trial 3"):
        records.read(tmp_path)
    path.write_text("")
    with pytest.raises(ValueError, match="lacks the column workload"):
        records.read(tmp_path)


def test_finishers_follow_the_file_and_read_it_only_when_it_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finishers = records.Finishers(tmp_path)
    assert finishers(100) == set()
    records.merge(tmp_path, [row(0)])
    assert finishers(100) == set()
    records.merge(tmp_path, [complete(1, 96), complete(2, 80)])
    assert [finishers(step) for step in (79, 80, 95, 96, 200)] == [set(), {2}, {2}, {1, 2}, {1, 2}]
    with monkeypatch.context() as patch:
        patch.setattr(records, "_read_rows", lambda path: pytest.fail("read an unchanged file"))
        assert finishers(80) == {2}
    records.merge(tmp_path, [complete(3, 64)])
    assert finishers(80) == {2, 3}


def test_conflicting_metaparameters_are_refused(tmp_path: Path) -> None:
    lr = 0.1 + 0.2
    records.merge(tmp_path, [row(3, lr=lr, momentum=0.9, decay_steps=30000)])
    same = {"trial": 3, "seed": 3, "lr": lr, "momentum": 0.9, "decay_steps": 30000, "end_factor": None}
    refuse(tmp_path, [same, {**same, "trial": 4, "lr": 1.0}])
    with pytest.raises(
        ValueError, match=r"trials.csv holds trial 3 with optimizer.lr=0.30000000000000004, not 0.3; wait"
    ):
        refuse(tmp_path, [{"trial": 2, "seed": 2}, {**same, "lr": 0.3}])
    with pytest.raises(ValueError, match=r"momentum=0.9, not null and lr_schedule.end_factor=null, not 0.1; wait"):
        refuse(tmp_path, [{**same, "momentum": None, "end_factor": 0.1}])
    with pytest.raises(ValueError, match="holds trial 3 with seed=3, not 4; wait"):
        refuse(tmp_path, [{**same, "seed": 4}])
    refuse(tmp_path / "none", [same])


def test_a_record_of_before_replicates_is_of_replicate_0_and_goes_on(tmp_path: Path) -> None:
    records.merge(tmp_path, [row(0, lr=0.5), row(1, wd=0.25)], ["wd"])
    path = tmp_path / records.FILE
    lines = [line.split(",") for line in path.read_text().splitlines()]
    at = lines[0].index("replicate")
    path.write_text("".join(",".join(line[:at] + line[at + 1 :]) + "\n" for line in lines))
    before = records.read(tmp_path)
    assert before["replicate"].tolist() == [0, 0] and before["wd"].tolist()[1] == 0.25
    records.merge(tmp_path, [row(2)])
    assert records.read(tmp_path)["trial"].tolist() == [0, 1, 2] and "replicate" in path.read_text()


def test_a_record_of_before_weight_decay_is_read_and_goes_on(tmp_path: Path) -> None:
    records.merge(tmp_path, [row(0, lr=0.5), row(1, wd=0.25)], ["wd"])
    path, added = tmp_path / records.FILE, [one.name for one in ADDED]
    lines = [line.split(",") for line in path.read_text().splitlines()]
    kept = [at for at, name in enumerate(lines[0]) if name not in added]
    path.write_text("".join(",".join(line[at] for at in kept) + "\n" for line in lines))
    before = records.read(tmp_path)
    assert before["wd"].tolist()[1] == 0.25 and before[added].isna().all(axis=None)
    same = {"trial": 0, "seed": 0, "lr": 0.5}
    refuse(tmp_path, [same])
    with pytest.raises(ValueError, match=r"trial 0 with optimizer\.weight_decay=null, not 0\.1"):
        refuse(tmp_path, [{**same, "weight_decay": 0.1}])
    records.merge(tmp_path, [row(2, weight_decay=0.1)])
    assert records.read(tmp_path)["weight_decay"].isna().tolist() == [True, True, False]


def test_a_column_that_a_configuration_declared_before_it_was_known(tmp_path: Path) -> None:
    records.merge(tmp_path, [row(0, wd=0.25)], ["wd"])
    path = tmp_path / records.FILE
    header, values = (line.split(",") for line in path.read_text().splitlines())
    at = header.index("warmup_steps")
    last = header.index("label_smoothing") + 1  # after which the declared ones stand
    there = [*header[:at], "wd", "warmup_steps", *header[last + 1 :]]
    path.write_text(",".join(there) + "\n" + ",".join([*values[:at], "0.25", "12", *values[last + 1 :]]) + "\n")
    found = records.read(tmp_path).iloc[0]
    assert (found["wd"], found["warmup_steps"]) == (0.25, 12) and pd.isna(found["beta1"])
    assert records.metaparameters_of(records.read(tmp_path))[-1] == "wd"


def test_best_is_the_lowest_trial_of_the_least_steps(tmp_path: Path) -> None:
    records.merge(tmp_path, [complete(9, 32), complete(4, 16), row(1, status="censored"), complete(2, 16)])
    best = records.best(records.read(tmp_path))
    assert best is not None and (best["trial"], best["steps_to_result"]) == (2, 16)
    assert records.best(records.read(tmp_path).query("trial == 1")) is None


def test_import_stays_light() -> None:
    rooms = "dps.storage.records, dps.report.terminal, dps.storage.ownership"
    code = f"import sys, {rooms}; print({{'torch', 'pandas', 'rich'}} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"
