"""The command, from what is typed to what lies in the folder."""

import pickle
import weakref
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from command import Done, contents, dps, rows, study
from hydra.core.utils import JobReturn
from hydra.errors import InstantiationException

from dps.engine import composed, fit
from dps.engine.module import StudyTask
from dps.engine.run import run
from dps.engine.study import Study
from dps.protocol.outcome import STATUSES
from dps.storage import records
from hydra_plugins.dps_sobol import sweeper

SMALL = ["batch_size=8", "goal.error=0.3", "goal.interval_steps=4", "max_steps=32"]
# else measured, and not the same in two folders
STACK = ["stack.trials_per_slice=2", "stack.examples_per_pass=8", "stack.products=false"]
GRID = ["-m", "batch_size=8,16", "sparsity=0,0.5", "goal.error=0.3", "goal.interval_steps=4", "max_steps=32"]
TWO_TRIALS = "hydra.sweeper.trials=2"
CONTRACT = (
    "workload,dataset,model,optimizer,lr_schedule,pruning,batch_size,sparsity,replicate,trial,seed,lr,momentum,decay_steps,"
    "end_factor,warmup_steps,beta1,beta2,eps,weight_decay,label_smoothing,goal_error,interval_steps,max_steps,status,"
    "steps_to_result,steps_run,validation_error,test_error,train_seconds,evaluate_seconds"
)


@pytest.fixture
def returned(monkeypatch: pytest.MonkeyPatch) -> list[int | None]:
    """What every study that ran returned."""
    values: list[int | None] = []

    def spy(study: Study, overrides: list[str], trials: int | None) -> int | None:
        values.append(run(study, overrides, trials))
        return values[-1]

    monkeypatch.setattr(composed, "run", spy)
    return values


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Done]:
    """A sweep of two batch sizes and two sparsities with two trials each, that nobody changes."""
    folder = tmp_path_factory.mktemp("sweep")
    return folder, dps(folder, *GRID, TWO_TRIALS, "race=false")


def table(done: Done) -> str:
    """Without the lines on single studies before it, and on the time after it."""
    return done.stdout[done.stdout.index("digits_simple_cnn_momentum: ") :].partition("not reached.")[0]


def refuse_to_train(monkeypatch: pytest.MonkeyPatch) -> None:
    def train(study: object) -> None:
        pytest.fail("a finished study trains again")

    monkeypatch.setattr(fit, "fit", train)


def test_one_trial(tmp_path: Path, returned: list[int | None]) -> None:
    done = dps(tmp_path, *SMALL, "sparsity=0.5", "trial=7", "optimizer.lr=0.02")
    assert (done.code, done.stderr) == (0, "")
    folder = study(tmp_path, 8, "0.5")
    assert (folder / "trials.csv").read_text().splitlines()[0] == CONTRACT
    (row,) = records.read(folder).to_dict("records")
    expected = {
        "workload": "digits_simple_cnn_momentum",
        "dataset": "digits",
        "model": "simple_cnn",
        "optimizer": "momentum",
        "lr_schedule": "constant",
        "pruning": "snip",
        "batch_size": 8,
        "sparsity": 0.5,
        "trial": 7,
        "seed": 7,
        "lr": 0.02,
        "momentum": 0.9,
        "goal_error": 0.3,
        "interval_steps": 4,
        "max_steps": 32,
        "status": "complete",
    }
    assert {name: row[name] for name in expected} == expected
    assert pd.isna(row["decay_steps"]) and pd.isna(row["end_factor"])
    assert row["steps_to_result"] in range(4, 33, 4) and row["steps_run"] == row["steps_to_result"]
    assert round(150 * row["validation_error"]) <= 45 and round(row["validation_error"] * 150, 9).is_integer()
    assert 0 < row["test_error"] < 1 and round(row["test_error"] * 297, 9).is_integer()
    assert row["train_seconds"] > 0 and row["evaluate_seconds"] > 0
    assert returned == [row["steps_to_result"]]
    shown = done.stdout.split()
    assert {str(row["steps_to_result"]), "1/0/0/0", "lr=0.02"} <= set(shown)
    assert {path.name for path in folder.iterdir()} == {".hydra", ".trials.lock", "csv", "dps.log", "trials.csv"}


def test_a_list_of_trials(tmp_path: Path, returned: list[int | None]) -> None:
    typed = ["trial=[5,2,3]", "optimizer.lr=[0.02,1e-5,1e9]", "optimizer.momentum=[0.9,0,0.5]", "race=false"]
    done = dps(tmp_path, *SMALL, *typed)
    assert done.code == 0
    found = rows(study(tmp_path, 8))
    assert list(found.index) == list(found["seed"]) == [2, 3, 5]
    assert list(found["lr"]) == [1e-5, 1e9, 0.02] and list(found["momentum"]) == [0, 0.5, 0.9]
    assert list(found["status"]) == ["incomplete", "infeasible", "complete"]
    assert returned == [found["steps_to_result"].min()]
    assert "1/1/1/0" in done.stdout
    assert found["test_error"].notna().tolist() == [False, False, True]
    assert found["validation_error"].notna().tolist() == [True, False, True]
    assert list(found["steps_run"])[:2] == [32, 4]


def test_no_trial_gets_there(tmp_path: Path, returned: list[int | None]) -> None:
    done = dps(tmp_path, *SMALL, "optimizer.lr=1e-6", "max_steps=6")
    assert done.code == 0 and returned == [None]
    (row,) = records.read(study(tmp_path, 8)).to_dict("records")
    assert row["status"] == "incomplete" and row["steps_run"] == 6
    assert "0/1/0/0" in done.stdout


def test_a_job_answers_for_its_own_trials(tmp_path: Path, returned: list[int | None]) -> None:
    for trial in ("trial=0 optimizer.lr=0.02", "trial=1 optimizer.lr=1e-6"):
        assert dps(tmp_path, *SMALL, *trial.split(), "race=false").code == 0
    assert returned == [rows(study(tmp_path, 8))["steps_to_result"][0], None]


def test_a_sweep(sweep: tuple[Path, Done]) -> None:
    folder, done = sweep
    assert (done.code, done.stderr) == (0, "")
    lr, momentum = [10**-2, 10**-1], [1 - 10**-2.5, 1 - 10**-3.25]  # the Sobol points (.5, .5) and (.75, .25)
    completed = 0
    for batch_size in (8, 16):
        for sparsity in ("0", "0.5"):
            found = rows(study(folder, batch_size, sparsity))
            assert set(found["batch_size"]) == {batch_size} and set(found["sparsity"]) == {float(sparsity)}
            assert list(found.index) == list(found["seed"]) == [0, 1]
            assert found["lr"].tolist() == pytest.approx(lr, rel=1e-12)
            assert found["momentum"].tolist() == pytest.approx(momentum, rel=1e-12)
            assert set(found["status"]) <= {"complete", "incomplete", "infeasible"}
            counts = "/".join(str((found["status"] == status).sum()) for status in STATUSES)
            assert counts in done.stdout
            complete = found[found["status"] == "complete"]
            assert set(complete["steps_to_result"]) <= set(range(4, 33, 4))
            assert complete.empty or str(complete["steps_to_result"].min()) in done.stdout.split()
            assert found["test_error"].notna().tolist() == (found["status"] == "complete").tolist()
            completed += len(complete)
    assert completed >= 4
    assert len(list(folder.rglob("trials.csv"))) == 4
    assert "dense" in done.stdout and "50% sparse" in done.stdout


def test_the_same_sweep_again_trains_nothing_and_shows_the_same_table(
    sweep: tuple[Path, Done], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, first = sweep
    refuse_to_train(monkeypatch)
    before = contents(folder)
    again = dps(folder, *GRID, TWO_TRIALS, "race=false")
    assert (again.code, table(again), again.stderr) == (0, table(first), "")
    assert contents(folder) == before


def test_the_same_study_again_trains_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = dps(tmp_path, *SMALL, "optimizer.lr=0.02")
    refuse_to_train(monkeypatch)
    before = contents(tmp_path)
    again = dps(tmp_path, *SMALL, "optimizer.lr=0.02")
    assert (again.code, table(again)) == (0, table(first))
    assert contents(tmp_path) == before


def test_more_trials_keep_those_there_are(tmp_path: Path) -> None:
    typed = ["-m", *SMALL, *STACK, "max_steps=28", "sparsity=0.5", "race=false"]
    csv = study(tmp_path, 8, "0.5") / "trials.csv"
    dps(tmp_path, *typed, TWO_TRIALS)
    before = csv.read_bytes()
    assert dps(tmp_path, *typed, "hydra.sweeper.trials=4").code == 0
    after = csv.read_bytes()
    assert after.startswith(before) and len(after.splitlines()) == 5
    at_once = tmp_path / "at_once"
    at_once.mkdir()
    dps(at_once, *typed, "hydra.sweeper.trials=4")
    pd.testing.assert_frame_equal(rows(csv.parent), rows(study(at_once, 8, "0.5")))


def test_a_study_that_fails_leaves_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train = fit.fit

    def some(study: Study) -> None:
        if study.cfg.batch_size == 8:
            raise OSError("no space left\non the device")
        train(study)

    monkeypatch.setattr(fit, "fit", some)
    done = dps(tmp_path, "-m", *SMALL, "batch_size=8,16", TWO_TRIALS)
    assert done.code == 1
    where = "the traceback is in the folder's dps.log"
    assert done.stderr.startswith(f"dps: 1 of 2 studies failed ({where}): ") and done.stderr.count("\n") == 1
    assert "batch_size=8,sparsity=0: no space left" in done.stderr
    assert len(records.read(study(tmp_path, 16))) == 2 and " 16 │" in done.stdout
    log = (study(tmp_path, 8) / "dps.log").read_text()
    assert "Traceback" in log and "OSError: no space left" in log
    assert "Next: dps-report outputs/digits_simple_cnn_momentum" in done.stdout
    other = dps(tmp_path, "-m", *SMALL, "batch_size=4,16", TWO_TRIALS, "max_steps=16")
    assert "max_steps is 32 there and 16 here" in other.stderr and "Next" not in other.stdout
    record = study(tmp_path, 16) / records.FILE
    record.write_bytes(record.read_bytes().replace(b"digits", b"letters", 1))
    damaged = dps(tmp_path, "-m", *SMALL, "batch_size=4,16", TWO_TRIALS)
    assert f"{record.relative_to(tmp_path)} is damaged" in damaged.stderr and damaged.stderr.count("\n") == 1
    assert not study(tmp_path, 4).exists()  # that of 16 was looked into before


@pytest.mark.fault("a study that fails in a sweep")
def test_a_study_that_fails_leaves_no_memory_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failed: list[weakref.ref[StudyTask]] = []
    still_there: list[int] = []
    training_step = StudyTask.training_step

    def some(task: StudyTask, *batch: Any) -> None:
        if task.study.cfg.batch_size == 8:
            failed.append(weakref.ref(task))
            raise RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory")
        still_there.append(len([task for task in failed if task() is not None]))
        training_step(task, *batch)

    monkeypatch.setattr(StudyTask, "training_step", some)
    done = dps(tmp_path, "-m", *SMALL, *STACK, "batch_size=8,16", TWO_TRIALS)
    assert done.code == 1 and len(records.read(study(tmp_path, 16))) == 2
    assert len(failed) == 1 and set(still_there) == {0}
    assert "memory ran out with 2 trials at batch_size=8: " in done.stderr
    assert all(what in done.stderr for what in ("hydra.sweeper.trials_per_job", "stack.trials_per_slice", "stack.yaml"))
    assert "can't allocate memory" in (study(tmp_path, 8) / "dps.log").read_text()


def test_the_reason_outlives_the_way_from_another_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def report(returns: Sequence[JobReturn], seconds: float) -> None:
        sweeper_report(pickle.loads(pickle.dumps(returns)), seconds)  # as parallel launchers send them

    def wrong(study: Study) -> None:
        raise InstantiationException("Error in call to target 'callbacks.Goal'") from ValueError("goal=3 must be even")

    sweeper_report = sweeper.report
    monkeypatch.setattr(sweeper, "report", report)
    monkeypatch.setattr(fit, "fit", wrong)
    done = dps(tmp_path, "-m", *SMALL, TWO_TRIALS)
    assert done.code == 1 and done.stderr.endswith("batch_size=8,sparsity=0: goal=3 must be even\n")


@pytest.mark.parametrize(
    ("start", "changed", "named"),
    [
        (["optimizer.lr=0.02"], ["goal.error=0.2"], ["goal.error is 0.3 there and 0.2 here"]),
        (["-m", TWO_TRIALS], ["goal.error=0.2"], ["goal.error is 0.3 there and 0.2 here"]),
        (
            ["optimizer.lr=0.02"],
            ["max_steps=40", "seed_data=1"],
            ["max_steps is 32 there and 40 here", "seed_data is 0 there and 1 here"],
        ),
        (["optimizer.lr=0.02"], ["pruning=random"], ["names.pruning is snip there and random here"]),
        (["-m", TWO_TRIALS], ["race=false"], ["race is true there and false here"]),
    ],
    ids=" ".join,
)
def test_a_folder_of_another_configuration_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, start: list[str], changed: list[str], named: list[str]
) -> None:
    dps(tmp_path, *start, *SMALL)
    refuse_to_train(monkeypatch)
    before = contents(tmp_path)
    done = dps(tmp_path, *start, *SMALL, *changed)
    assert done.code == 1
    assert done.stderr.startswith("dps: ") and done.stderr.count("\n") == 1
    assert all(words in done.stderr for words in named) and str(study(tmp_path, 8).relative_to(tmp_path)) in done.stderr
    assert contents(tmp_path) == before


def test_a_trial_of_other_metaparameters_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dps(tmp_path, *SMALL, "optimizer.lr=0.02")
    refuse_to_train(monkeypatch)
    before = contents(tmp_path)
    done = dps(tmp_path, *SMALL, "optimizer.lr=0.03")
    assert done.code == 1 and "optimizer.lr=0.02, not 0.03" in done.stderr
    assert contents(tmp_path) == before


def test_help_and_version_are_those_of_dps(tmp_path: Path) -> None:
    shown = dps(tmp_path, "--help")
    assert shown.code == 0 and shown.stdout.startswith("dps counts the steps") and "dps -m batch_size=" in shown.stdout
    assert dps(tmp_path, "--version").stdout == f"dps {version('dps')}\n"
