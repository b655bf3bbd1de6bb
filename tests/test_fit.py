"""Training a study: what each way of running it must leave unchanged, against each other and against plain PyTorch."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from command import contents, dps, place, rows, study
from torch import Tensor

from dps.data import StudyData, sources
from dps.engine import fit
from dps.engine.checkpoint_io import StudyCheckpoints
from dps.engine.module import StudyTask
from dps.models import SimpleCNN, initialise
from dps.protocol.goal import GoalCheck
from dps.stack.sgd import SGD
from dps.stack.shape import SliceShape
from dps.storage import configurations, records
from dps.storage.checkpoints import before

# else measured, and not the same in two folders
STACK = ["stack.trials_per_slice=2", "stack.examples_per_pass=8", "stack.products=false"]
SMALL = ["batch_size=8", "goal.error=0.3", "goal.interval_steps=4", "max_steps=36", *STACK]
# of these, trial 0 diverges, 1 and 2 reach the goal at different steps, 3 learns too slowly
MIXED = ["trial=[0,1,2,3]", "optimizer.lr=[1e9,0.02,0.002,1e-6]"]
LR = {0: 1e9, 1: 0.02, 2: 0.002, 3: 1e-6}
Weights = dict[int, list[Tensor]]

STOPPED = [*SMALL, "trial=[0,3]", "optimizer.lr=[1e-5,1e-5]"]
EVERY_STEP = "bookkeeping.checkpoint.every_seconds=0"  # a checkpoint
# Types the command, and a signal to itself at the start of one of its steps.
SIGNALLED = """
import os, sys
from dps import main
from dps.engine.module import StudyTask

step, number = int(sys.argv.pop(1)), int(sys.argv.pop(1))
training_step = StudyTask.training_step

def signalled(task, *arguments):
    if task.trainer.global_step == step:
        os.kill(os.getpid(), number)
    return training_step(task, *arguments)

StudyTask.training_step = signalled
main.main()
"""


def watch_ends(patch: pytest.MonkeyPatch) -> Weights:
    """The weights with which every trial leaves its stack from now on."""
    weights: Weights = {}
    finish = StudyTask.finish

    def spy(task: StudyTask, outcomes: Any) -> None:
        views = task.stack.weights_by_trial()
        weights.update({trial: [value.clone() for value in views[trial].values()] for trial in outcomes})
        finish(task, outcomes)

    patch.setattr(StudyTask, "finish", spy)
    return weights


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch) -> Weights:
    return watch_ends(monkeypatch)


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> tuple[pd.DataFrame, Weights]:
    """The rows of the mixed trials, each run to its own end, and their last weights."""
    with pytest.MonkeyPatch.context() as patch:
        weights = watch_ends(patch)
        return run(tmp_path_factory.mktemp("usual"), *SMALL, *MIXED, "race=false"), weights


def run(folder: Path, *arguments: str, code: int = 0) -> pd.DataFrame:
    """The rows of the one study that the command leaves in a folder."""
    done = dps(folder, *arguments)
    assert done.code == code, done.stderr
    (csv,) = folder.rglob("trials.csv")
    return rows(csv.parent)


def assert_same_weights(some: Weights, others: Weights) -> None:
    assert some.keys() == others.keys()
    for trial, values in some.items():
        for one, other in zip(values, others[trial], strict=True):
            assert torch.equal(one.nan_to_num(0.5, 1.0, -1.0), other.nan_to_num(0.5, 1.0, -1.0)), f"trial {trial}"


def plain_run(trial: int, lr: float, goal: float, interval: int, budget: int) -> dict[str, Any]:
    """The protocol as a careful user would write it: one trial in float64, every check on all examples."""
    images = sources.digits()
    data = StudyData(lambda: images, batch_size=8, seed=0)
    data._place(images, torch.device("cpu"), torch.float64)
    model = SimpleCNN().double()
    initialise(model, trial)
    optimizer = torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9)

    def mistakes(x: Tensor, y: Tensor) -> int:
        with torch.no_grad():
            return int((model(x).argmax(1) != y).sum())

    for step in range(1, budget + 1):
        rows_of_step = data.stream().indices(step - 1)
        loss = F.cross_entropy(model(data.train_images[rows_of_step]), data.train_labels[rows_of_step])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % interval == 0:
            finite = all(bool(weights.isfinite().all()) for weights in model.parameters())
            if not finite or not bool(loss.isfinite()):
                return {"status": "infeasible", "steps_run": step}
            wrong = mistakes(data.validation_images, data.validation_labels)
            if wrong <= goal * 150:
                test_error = mistakes(data.test_images, data.test_labels) / 297
                found = {"status": "complete", "steps_run": step, "steps_to_result": step}
                return found | {"validation_error": wrong / 150, "test_error": test_error}
    wrong = mistakes(data.validation_images, data.validation_labels)
    return {"status": "incomplete", "steps_run": budget, "validation_error": wrong / 150}


def test_every_row_is_that_of_the_plain_protocol(tmp_path: Path) -> None:
    found = run(tmp_path, *SMALL, *MIXED, "race=false", "trainer.precision=64-true")
    names = ["status", "steps_run", "steps_to_result", "validation_error", "test_error"]
    for trial, lr in LR.items():
        plain = plain_run(trial, lr, goal=0.3, interval=4, budget=36)
        row = found.loc[trial, names].dropna().to_dict()
        assert row.pop("status") == plain.pop("status")
        assert row == pytest.approx(plain, rel=1e-12), f"trial {trial}"
    assert list(found["status"]) == ["infeasible", "complete", "complete", "incomplete"]
    assert found.loc[1, "steps_to_result"] != found.loc[2, "steps_to_result"]


def test_the_race_has_the_same_winner(tmp_path: Path, usual: tuple[pd.DataFrame, Weights]) -> None:
    free, raced = usual[0], run(tmp_path, *SMALL, *MIXED, "race=true")
    first, winner = (records.best(found.reset_index()) for found in (free, raced))
    assert first is not None and winner is not None and first["trial"] == winner["trial"] == 1
    best = first["steps_to_result"]
    assert winner["steps_to_result"] == best
    for trial, row in raced.iterrows():
        if free.loc[trial, "status"] == "infeasible" or free.loc[trial, "steps_run"] == best:
            assert row.equals(free.loc[trial])
        else:
            assert (row["status"], row["steps_run"]) == ("censored", best)
            assert pd.isna(row["test_error"]) and row["validation_error"] > 0.3
    assert list(raced["status"]) == ["infeasible", "complete", "censored", "censored"]


def test_a_race_to_the_second_finds_the_two_quickest(tmp_path: Path, usual: tuple[pd.DataFrame, Weights]) -> None:
    free, raced = usual[0], run(tmp_path, *SMALL, *MIXED, "race=2")
    pd.testing.assert_frame_equal(raced.loc[[0, 1, 2]], free.loc[[0, 1, 2]])
    assert (raced.loc[3, "status"], raced.loc[3, "steps_run"]) == ("censored", free.loc[2, "steps_to_result"])


def test_a_race_to_the_second_counts_the_finishers_of_all_jobs(
    tmp_path: Path, usual: tuple[pd.DataFrame, Weights]
) -> None:
    free = usual[0]
    for trial in (2, 1):
        run(tmp_path, *SMALL, f"trial={trial}", f"optimizer.lr={LR[trial]}", "race=2")
    raced = run(tmp_path, *SMALL, "trial=3", f"optimizer.lr={LR[3]}", "race=2")
    pd.testing.assert_frame_equal(raced.loc[[1, 2]], free.loc[[1, 2]])
    assert (raced.loc[3, "status"], raced.loc[3, "steps_run"]) == ("censored", free.loc[2, "steps_to_result"])


@pytest.mark.parametrize("calls", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_race_to_the_second_that_stops_after_a_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, usual: tuple[pd.DataFrame, Weights], calls: int
) -> None:
    typed = [*SMALL, *MIXED, "race=2"]
    handler = signal.getsignal(signal.SIGINT)
    with monkeypatch.context() as patch:
        Interruption(records, "merge", calls, after=True).install(patch)
        assert dps(tmp_path, *typed, "bookkeeping.checkpoint.every_seconds=0").code != 0
    signal.signal(signal.SIGINT, handler)
    raced = run(tmp_path, *typed)  # the trial that is recorded runs again, from a checkpoint of before its end
    pd.testing.assert_frame_equal(raced.loc[[0, 1, 2]], usual[0].loc[[0, 1, 2]])
    assert raced.loc[3, "status"] == "censored"


@pytest.mark.parametrize(
    "changed",
    [["goal.early_reject=false"], pytest.param(["goal.examples_per_block=150"], marks=pytest.mark.slow)],
    ids=" ".join,
)
def test_how_a_check_reads_decides_nothing(
    tmp_path: Path, usual: tuple[pd.DataFrame, Weights], changed: list[str]
) -> None:
    pd.testing.assert_frame_equal(run(tmp_path, *SMALL, *MIXED, "race=false", *changed), usual[0])


@pytest.mark.parametrize("race", ["true", pytest.param("false", marks=pytest.mark.slow)])
def test_a_study_split_over_jobs(tmp_path: Path, ended: Weights, race: str) -> None:
    typed = ["-m", *SMALL, "sparsity=0.5", "hydra.sweeper.trials=3", f"race={race}"]
    whole = run(place(tmp_path, "whole"), *typed)
    weights = dict(ended)
    ended.clear()
    split = run(place(tmp_path, "split"), *typed, "hydra.sweeper.trials_per_job=2")
    assert list(split.index) == [0, 1, 2]
    assert split["steps_to_result"].min() == whole["steps_to_result"].min()
    if race == "false":
        pd.testing.assert_frame_equal(split, whole)
        assert_same_weights(ended, weights)


def test_a_trial_does_not_feel_its_neighbours(
    tmp_path: Path, ended: Weights, usual: tuple[pd.DataFrame, Weights]
) -> None:
    alone = run(tmp_path, *SMALL, "trial=2", f"optimizer.lr={LR[2]}", "race=false")
    assert alone.loc[2].equals(usual[0].loc[2])
    assert_same_weights(ended, {2: usual[1][2]})


# Of a job of SLURM, in which Lightning would save and requeue by itself at SIGUSR1.
SLURM = {"SLURM_NTASKS": "1", "SLURM_JOB_ID": "7", "SLURM_JOB_NAME": "dps", "SLURM_PROCID": "0", "SLURM_LOCALID": "0"}


@pytest.mark.fault("a signal in training, in a job of SLURM")
@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (signal.SIGUSR1, 143),
        (signal.SIGKILL, -signal.SIGKILL),
        (signal.SIGTERM, 143),
        (signal.SIGINT, 130),
    ],
)
@pytest.mark.slow
def test_a_stopped_run_goes_on_as_if_it_had_never_stopped(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    ended: Weights,
    first_steps: list[int],
    usual: tuple[pd.DataFrame, Weights],
    sent: signal.Signals,
    code: int,
) -> None:
    whole, weights = usual
    typed = [*SMALL, *MIXED, "race=false"]
    stop = int(whole["steps_to_result"].min()) + 2  # the infeasible and the quickest trial have left the stack
    assert stop < whole["steps_to_result"].max()
    (tmp_path / "hpc_ckpt_1.ckpt").write_text("of another job")
    command = [sys.executable, "-c", SIGNALLED, str(stop), str(int(sent)), *typed, EVERY_STEP]
    one_thread = {**os.environ, **SLURM, "OMP_NUM_THREADS": "1"}  # as here: their number changes float32 rounding
    done = subprocess.run(
        command, cwd=tmp_path, env=one_thread, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == code
    if sent == signal.SIGKILL:
        assert done.stderr == ""
    else:  # one line, and the step that the signal came in was finished
        assert done.stderr.startswith("dps: stopped by ") and done.stderr.count("\n") == 1
        assert f"a checkpoint of step {stop + 1}" in done.stderr and str(study(tmp_path, 8)) in done.stderr
    recorded = rows(study(tmp_path, 8))
    pd.testing.assert_frame_equal(recorded, whole.loc[recorded.index])
    assert list(recorded.index) == [0, 1]
    assert (study(tmp_path, 8) / "trials=0-3.ckpt").exists()
    with monkeypatch.context() as patch:
        for name, value in SLURM.items():
            patch.setenv(name, value)
        pd.testing.assert_frame_equal(run(tmp_path, *typed), whole)
    assert first_steps == [stop + (sent != signal.SIGKILL)]
    assert ended.keys() == {2, 3}
    assert_same_weights(ended, {trial: weights[trial] for trial in ended})
    curves = pd.concat(map(pd.read_csv, study(tmp_path, 8).glob("csv/*/version_*/metrics.csv")))
    assert set(range(4, whole["steps_run"].max() + 1, 4)) <= set(curves["step"])  # of every check, before it and after
    left = [path.name for path in tmp_path.rglob("*") if path.suffix in (".ckpt", ".tmp")]
    assert left == ["hpc_ckpt_1.ckpt"]


class Interruption:
    """Stands in for a function, and raises KeyboardInterrupt before or after one of its calls."""

    def __init__(self, owner: Any, name: str, calls: int, after: bool):
        self.owner, self.name, self.calls, self.after = owner, name, calls, after
        self.original = getattr(owner, name)

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def stand_in(*arguments: Any, **options: Any) -> Any:
            self.calls -= 1
            if self.calls == 0 and not self.after:
                raise KeyboardInterrupt
            answer = self.original(*arguments, **options)
            if self.calls == 0:
                raise KeyboardInterrupt
            return answer

        monkeypatch.setattr(self.owner, self.name, stand_in)


@pytest.mark.parametrize(
    ("owner", "name", "calls", "after"),
    [
        pytest.param(StudyTask, "training_step", 18, False, marks=pytest.mark.slow),
        (SGD, "step", 18, True),
        pytest.param(GoalCheck, "__call__", 5, False, marks=pytest.mark.slow),
        (GoalCheck, "__call__", 5, True),
        pytest.param(records, "merge", 2, False, marks=pytest.mark.slow),
        (records, "merge", 2, True),
    ],
    ids=["before a step", "in the update", "before a check", "after a check", "before a record", "after a record"],
)
def test_wherever_ctrl_c_strikes(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    ended: Weights,
    usual: tuple[pd.DataFrame, Weights],
    owner: Any,
    name: str,
    calls: int,
    after: bool,
) -> None:
    whole, weights = usual
    typed = [*SMALL, *MIXED, "race=false"]
    handler = signal.getsignal(signal.SIGINT)
    with monkeypatch.context() as patch:
        Interruption(owner, name, calls, after).install(patch)
        assert dps(tmp_path, *typed, EVERY_STEP).code != 0
    signal.signal(signal.SIGINT, handler)
    ended.clear()
    pd.testing.assert_frame_equal(run(tmp_path, *typed), whole)
    assert_same_weights(ended, {trial: weights[trial] for trial in ended})


@pytest.fixture
def stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a study of the trials 0 and 3 that Ctrl-C stopped after six steps, before any trial ended."""
    interrupted(tmp_path, monkeypatch, *STOPPED)
    assert checkpoint(tmp_path).exists() and before(checkpoint(tmp_path)).exists()
    return tmp_path


def interrupted(folder: Path, monkeypatch: pytest.MonkeyPatch, *typed: str) -> None:
    handler = signal.getsignal(signal.SIGINT)
    with monkeypatch.context() as patch:
        Interruption(StudyTask, "training_step", 7, False).install(patch)
        assert dps(folder, *typed, EVERY_STEP).code != 0
    signal.signal(signal.SIGINT, handler)


def checkpoint(folder: Path) -> Path:
    """That of the trials 0 and 3."""
    return study(folder, 8) / "trials=7c131fd95efadcf9.ckpt"


def test_a_checkpoint_of_other_metaparameters_is_not_taken_for_these(stopped: Path) -> None:
    typed = [*SMALL, "trial=[0,3]", "optimizer.lr=[0.02,0.005]"]
    afresh = run(place(stopped, "afresh"), *typed)
    done = dps(stopped, *typed)
    if done.code:  # refused
        assert done.stderr.startswith("dps: ") and "optimizer.lr" in done.stderr
    else:  # begun again
        pd.testing.assert_frame_equal(rows(study(stopped, 8)), afresh)


def test_a_checkpoint_of_other_trials_is_not_taken_for_these(stopped: Path) -> None:
    typed = [*SMALL, "trial=[0,1,2,3]", "optimizer.lr=1e-5"]
    afresh = run(place(stopped, "afresh"), *typed)
    kept = checkpoint(stopped).read_bytes()
    assert dps(stopped, *typed).code == 0
    pd.testing.assert_frame_equal(rows(study(stopped, 8)), afresh)
    assert not list(stopped.rglob("*.ckpt"))  # with which the study would count as running
    checkpoint(stopped).write_bytes(kept)
    assert dps(stopped, *typed).code == 0
    assert not checkpoint(stopped).exists()


def test_a_checkpoint_of_trials_that_are_not_all_recorded_stays(stopped: Path) -> None:
    assert dps(stopped, *SMALL, "trial=[0,1]", "optimizer.lr=1e-5").code == 0
    assert checkpoint(stopped).exists()
    assert dps(stopped, *STOPPED).code == 0
    assert not list(stopped.rglob("*.ckpt"))


def test_a_checkpoint_of_a_gpu_goes_on_without_one(
    stopped: Path, monkeypatch: pytest.MonkeyPatch, first_steps: list[int]
) -> None:
    saved = StudyCheckpoints().load_checkpoint(checkpoint(stopped))
    with monkeypatch.context() as patch:
        patch.setattr(torch.serialization, "location_tag", lambda storage: "cuda:0")
        StudyCheckpoints().save_checkpoint(saved, checkpoint(stopped))
    assert b"cuda:0" in checkpoint(stopped).read_bytes()
    assert dps(stopped, *STOPPED).code == 0
    assert first_steps == [6]


def test_a_damaged_checkpoint_of_another_job_is_named_and_stays(stopped: Path) -> None:
    checkpoint(stopped).write_bytes(b"no checkpoint")
    before(checkpoint(stopped)).unlink()
    done = dps(stopped, *SMALL, "trial=[0,1,3]", "optimizer.lr=1e-5")
    assert done.code == 0 and f"{checkpoint(stopped).name} is damaged" in done.stderr + done.stdout
    assert checkpoint(stopped).exists()


def test_a_checkpoint_without_a_trial_whose_record_is_gone_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_both = [*SMALL, "trial=[0,1]", "optimizer.lr=1e-5"]
    assert dps(tmp_path, *SMALL, "optimizer.lr=1e-5").code == 0  # trial 0
    interrupted(tmp_path, monkeypatch, *of_both)  # in a stack of trial 1 alone
    (study(tmp_path, 8) / records.FILE).unlink()
    done = dps(tmp_path, *of_both)
    assert done.code == 1 and "trials=0-1.ckpt does not train trial 0, which is not recorded any more" in done.stderr


def test_the_seconds_since_the_last_check_are_kept(stopped: Path) -> None:
    """The checkpoints are of the steps 5 and 6, and the last check of step 4."""
    shutil.move(before(checkpoint(stopped)), earlier := stopped / "earlier.ckpt")
    spent = [
        StudyCheckpoints().load_checkpoint(path)["callbacks"]["Goal"]["seconds"]
        for path in (earlier, checkpoint(stopped))
    ]
    assert all(0 < spent[0][trial][0] < spent[1][trial][0] for trial in (0, 3))


def test_a_checkpoint_of_another_configuration_is_refused(stopped: Path) -> None:
    before = contents(stopped)
    done = dps(stopped, *STOPPED, "goal.error=0.2")
    assert done.code == 1 and "goal.error is 0.3 there and 0.2 here" in done.stderr
    assert contents(stopped) == before


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:1000])


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.fault("a damaged or lost checkpoint")
@pytest.mark.parametrize(
    "damage",
    [pytest.param(cut_short, marks=pytest.mark.slow), flip_a_bit, pytest.param(Path.unlink, marks=pytest.mark.slow)],
)
def test_training_goes_on_from_the_checkpoint_before_a_damaged_one(
    stopped: Path, first_steps: list[int], damage: Callable[[Path], None]
) -> None:
    afresh = run(place(stopped, "afresh"), *STOPPED)
    damage(checkpoint(stopped))
    first_steps.clear()
    done = dps(stopped, *STOPPED)
    assert done.code == 0 and done.stdout.count(checkpoint(stopped).name) == 1 and "the one before" in done.stdout
    assert first_steps == [5]  # the newest was of step 6
    pd.testing.assert_frame_equal(rows(study(stopped, 8)), afresh)
    assert not list(stopped.rglob("*.ckpt"))


@pytest.mark.fault("a damaged or lost checkpoint")
def test_a_damaged_checkpoint_never_takes_the_place_of_the_one_before(stopped: Path) -> None:
    flip_a_bit(checkpoint(stopped))
    io = StudyCheckpoints()
    resumed = io.load_checkpoint(checkpoint(stopped))
    io.save_checkpoint(resumed, checkpoint(stopped))
    flip_a_bit(checkpoint(stopped))
    assert io.load_checkpoint(checkpoint(stopped))["global_step"] == resumed["global_step"] == 5


@pytest.mark.fault("a damaged or lost checkpoint")
def test_two_damaged_checkpoints_are_named(stopped: Path) -> None:
    flip_a_bit(checkpoint(stopped))
    cut_short(before(checkpoint(stopped)))
    left = contents(study(stopped, 8))
    done = dps(stopped, *STOPPED)
    assert done.code == 1 and done.stderr.count("\n") == 1
    assert f"{checkpoint(stopped)} is damaged" in done.stderr and "remove it" in done.stderr
    assert contents(study(stopped, 8)) == left


@pytest.mark.fault("a checkpoint of another study or configuration")
def test_a_copied_checkpoint_is_not_taken_for_the_own(stopped: Path) -> None:
    other = place(stopped, "other")
    shutil.copytree(stopped / "outputs", other / "outputs")
    sparse = study(other, 8).with_name("batch_size=8,sparsity=0.5")
    study(other, 8).rename(sparse)
    shutil.rmtree(sparse / ".hydra")
    checkpoints = [path.rename(stopped / path.name) for path in sparse.glob("*.ckpt")]
    assert dps(other, *STOPPED, "sparsity=0.5").code == 0  # so the folder is that of a sparse study
    (sparse / "trials.csv").unlink()
    for path in checkpoints:
        path.rename(sparse / path.name)
    done = dps(other, *STOPPED, "sparsity=0.5")
    assert done.code == 1 and "sparsity is 0 there and 0.5 here" in done.stderr and ".ckpt" in done.stderr
    assert not (sparse / "trials.csv").exists()


def test_a_checkpoint_stays_until_every_trial_is_recorded(stopped: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(records, "merge", lambda *arguments: None)
        assert dps(stopped, *STOPPED).code == 1
    assert checkpoint(stopped).exists()
    assert dps(stopped, *STOPPED).code == 0
    assert not list(stopped.rglob("*.ckpt"))


def test_no_logger(tmp_path: Path) -> None:
    run(tmp_path, *SMALL, "optimizer.lr=0.02", "logger=null")
    assert not list(tmp_path.rglob("metrics.csv"))


def test_a_study_keeps_the_shape_of_its_first_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(fit.log, "warning", lambda text, *values: said.append(text % values))

    def measure() -> SliceShape:
        return SliceShape(4, 16, True)

    (tmp_path / ".hydra").mkdir()
    assert fit._recorded(tmp_path, {"examples_per_pass": 8}, measure) == SliceShape(4, 8, True)
    others = {"trials_per_slice": 1, "examples_per_pass": 8, "products": False}
    assert fit._recorded(tmp_path, others, measure) == SliceShape(4, 8, True)
    assert [text.split(" is ignored")[0] for text in said] == ["stack.trials_per_slice=1", "stack.products=False"]
    (tmp_path / ".hydra" / "stack.yaml").write_text("trials_per_slice: 3\nexamples_per_pass: 5\n")
    assert fit._recorded(tmp_path, {"products": True}, measure) == SliceShape(3, 5, False)
    assert said[2:] == ["stack.products=True is ignored: the study keeps False, its first"]


@pytest.mark.parametrize(
    "text",
    [
        *("", "null", "[]", "- 3", "trials_per_slice: 3", "examples_per_pass: 5", "trials_per_slice: [", "3"),
        *(
            "trials_per_slice: 3\nexamples_per_pass: 5\nmore: 1",
            "trials_per_slice: 3\nexamples_per_pass: 5\nproducts: 1",
        ),
        *(
            f"trials_per_slice: {value}\nexamples_per_pass: 5"
            for value in ("x", "-3", "0", "2.5", "null", "true", "[3]")
        ),
    ],
)
def test_a_damaged_shape_is_named_with_its_file(tmp_path: Path, text: str) -> None:
    path = tmp_path / ".hydra" / "stack.yaml"
    path.parent.mkdir()
    path.write_text(text)
    with pytest.raises(ValueError) as error:
        fit._recorded(tmp_path, {}, lambda: SliceShape(4, 16))
    assert str(error.value).startswith(f"{path} is damaged: ") and str(error.value).endswith(configurations.REMEDY)
    assert "\n" not in str(error.value) and path.read_text() == text
