"""Measuring callbacks: what they write, against plain PyTorch, and that the training does not feel them."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import plain
import pytest
import torch
import torch.nn.functional as F
from command import dps, place, process, rows, study
from torch import Tensor

from dps.data import StudyData, sources
from dps.engine import display
from dps.engine.module import StudyTask
from dps.storage import measurements
from dps.storage.measurements import CURVES, NOISE, SMOOTHNESS, Measurement

SMALL = ["data.train_examples=null", "batch_size=8", "goal.interval_steps=4", "max_steps=12", "race=false"]
STACK = ["stack.trials_per_slice=2", "stack.examples_per_pass=8", "stack.products=false"]
# of these, trial 0 diverges, 1 reaches the goal before the budget is spent, 3 learns too slowly
MIXED = ["trial=[0,1,3]", "optimizer.lr=[1e9,0.05,1e-3]", "goal.error=0.4"]
INTERVALS = [f"callbacks.{name}.interval_steps={n}" for name, n in (("smoothness", 4), ("noise", 6), ("curves", 4))]
TYPED = [*SMALL, *STACK, *MIXED]
BEFORE = "callbacks=[smoothness,noise,curves,goal]"
AFTER = "callbacks=[goal,smoothness,noise,curves]"
KINDS = (SMOOTHNESS, NOISE, CURVES)
Weights = dict[int, list[Tensor]]


@pytest.fixture(autouse=True)
def few_digits(monkeypatch: pytest.MonkeyPatch) -> sources.Images:
    """60 images of digits for training and validation, in place of 1,500."""
    every = sources.digits()
    few = replace(every, train=every.train[:60], train_labels=every.train_labels[:60])
    monkeypatch.setattr(sources, "digits", lambda: few)
    monkeypatch.setenv("DPS_ALLOW", f"{__name__},__main__")
    return few


def run(folder: Path, *arguments: str, sparsity: str = "0") -> Path:
    done = dps(folder, *arguments, f"sparsity={sparsity}")
    assert done.code == 0, done.stderr
    return study(folder, 8, sparsity)


def steps_of(folder: Path, kind: Measurement) -> dict[int, list[int]]:
    frame = measurements.read(folder, kind)
    return {trial: group["step"].tolist() for trial, group in frame.groupby("trial")}


# ---- what is written


def test_nothing_is_measured_unless_asked_for(tmp_path: Path) -> None:
    folder = run(tmp_path, *TYPED)
    assert not [kind.name for kind in KINDS if kind.path(folder).exists()]


@pytest.mark.parametrize("order", [BEFORE, AFTER])
def test_steps_at_which_each_trial_is_measured(tmp_path: Path, order: str) -> None:
    folder = run(tmp_path, *TYPED, order, *INTERVALS, "callbacks.smoothness.interval_steps=3")
    ends = dict(rows(folder)["steps_run"])
    assert ends[0] == 4 and 4 < ends[1] < 12 and ends[3] == 12
    last = 0 if order == BEFORE else 1  # the trials that end at a step have left before it is measured
    for trial, end in ends.items():
        assert steps_of(folder, CURVES)[trial] == list(range(0, end + 1 - last, 4))
        assert steps_of(folder, NOISE)[trial] == list(range(0, end + 1 - last, 6))
        assert steps_of(folder, SMOOTHNESS)[trial] == [step for step in range(0, 12, 3) if step + last < end]


def test_noise_before_the_first_step_alone(tmp_path: Path) -> None:
    folder = run(tmp_path, *TYPED, "callbacks=[goal,noise]", "callbacks.noise.interval_steps=null")
    assert steps_of(folder, NOISE) == {0: [0], 1: [0], 3: [0]}
    assert not SMOOTHNESS.path(folder).exists() and not CURVES.path(folder).exists()


def a_gradient(weights: list[Tensor], images: Tensor, labels: Tensor) -> Tensor:
    leaves = [values.clone().requires_grad_() for values in weights]
    F.cross_entropy(plain.simple_cnn(leaves, images), labels).backward()
    return torch.cat([leaf.grad.flatten() for leaf in leaves if leaf.grad is not None])


def plain_row(
    kind: Measurement, data: StudyData, now: list[Tensor], after: list[Tensor] | None, alive: list[Tensor]
) -> Any:
    """A row of measurements of one trial, by the book."""
    images, labels = data.train_images, data.train_labels
    if kind == CURVES:
        found = []
        for x, y in ((images, labels), (data.validation_images, data.validation_labels)):
            logits = plain.simple_cnn(now, x)
            found += [float(F.cross_entropy(logits, y)), float((logits.argmax(1) != y).double().mean())]
        return found
    survivors = torch.cat([mask.flatten() for mask in alive])
    if kind == NOISE:
        each = torch.stack([a_gradient(now, images[n, None], labels[n, None]) for n in range(len(labels))])
        variance, variance_all_weights = (float(g.var(0, correction=0).sum()) for g in (each * survivors, each))
        squared_norm = float((each * survivors).mean(0).square().sum())
        return [variance, squared_norm, variance / squared_norm, variance_all_weights]
    assert after is not None
    steps = [[one + gamma / 10 * (two - one) for one, two in zip(now, after, strict=True)] for gamma in range(11)]
    gradients = [a_gradient(weights, images, labels) for weights in steps]
    length = torch.cat([(two - one).flatten() for one, two in zip(now, after, strict=True)]).norm()
    changes = [(gradient - gradients[0]) / (g / 10 * length) for g, gradient in enumerate(gradients) if g > 0]
    return [max(float((change * some).norm()) for change in changes) for some in (survivors, 1)]


@pytest.mark.parametrize("sparsity", [pytest.param("0", marks=pytest.mark.slow), "0.9"])
def test_every_value_is_that_of_plain_pytorch(
    tmp_path: Path, history: list[Weights], few_digits: sources.Images, sparsity: str
) -> None:
    typed = [*TYPED, AFTER, *INTERVALS, "trainer.precision=64-true", "optimizer.lr=[0.02,0.05,1e-3]"]
    folder = run(tmp_path, *typed, "callbacks.smoothness.interval_steps=8", sparsity=sparsity)
    ends = dict(rows(folder)["steps_run"])
    assert min(ends.values()) < 12  # one has left, and another has taken its row
    data = StudyData(lambda: few_digits, batch_size=8, seed=0)
    data._place(few_digits, torch.device("cpu"), torch.float64)
    alive = {
        trial: [values != 0 if values.ndim > 1 or sparsity != "0" else values == 0 for values in weights]
        for trial, weights in history[0].items()  # of 90% sparse trials, no bias survives
    }
    compared = 0
    for kind in KINDS:
        for row in measurements.read(folder, kind).itertuples(index=False):
            trial, step, *values = row
            after = history[step + 1].get(trial) if step + 1 < len(history) else None
            expected = plain_row(kind, data, history[step][trial], after, alive[trial])
            assert values == pytest.approx(expected, rel=1e-7), (kind.name, trial, step)
            compared += 1
    assert compared >= 17 and steps_of(folder, SMOOTHNESS)[3] == [0, 8]


def test_a_trial_that_diverges_leaves_empty_cells(tmp_path: Path) -> None:
    folder = run(tmp_path, *TYPED, BEFORE, "callbacks.smoothness.interval_steps=3", *INTERVALS[2:])
    smoothness = measurements.read(folder, SMOOTHNESS).set_index(["trial", "step"])["smoothness"]
    curves = measurements.read(folder, CURVES).set_index(["trial", "step"])
    assert pd.isna(smoothness[0, 3]) and smoothness[3].notna().all() and (smoothness[3] > 0).all()
    assert curves.loc[(0, 4)].isna().all() and curves.loc[3].notna().all(axis=None)


def test_every_logger_gets_the_values(tmp_path: Path) -> None:
    folder = run(tmp_path, *TYPED, AFTER, *INTERVALS)
    (path,) = folder.glob("csv/**/metrics.csv")
    logged = pd.read_csv(path)
    names = {"smoothness/trial=3": (SMOOTHNESS, "smoothness"), "noise/noise_scale/trial=3": (NOISE, "noise_scale")}
    names["curves/train_loss/trial=3"] = (CURVES, "train_loss")
    for name, (kind, column) in names.items():
        there = logged[["step", name]].dropna()
        frame = measurements.read(folder, kind).query("trial == 3")
        assert there["step"].tolist() == frame["step"].tolist()
        assert there[name].tolist() == pytest.approx(frame[column].tolist(), rel=1e-12)


# ---- what they leave alone


@pytest.mark.parametrize(("order", "sparsity"), [pytest.param(BEFORE, "0", marks=pytest.mark.slow), (AFTER, "0.9")])
def test_the_training_does_not_feel_them(tmp_path: Path, history: list[Weights], order: str, sparsity: str) -> None:
    without = rows(run(place(tmp_path, "without"), *TYPED, sparsity=sparsity))
    expected, history[:] = list(history), []
    measured = rows(run(place(tmp_path, "measured"), *TYPED, order, *INTERVALS, sparsity=sparsity))
    pd.testing.assert_frame_equal(measured, without)
    assert len(history) == len(expected)
    for now, then in zip(history, expected, strict=True):
        assert now.keys() == then.keys()
        for trial, weights in now.items():
            for one, other in zip(weights, then[trial], strict=True):
                assert torch.equal(one.view(torch.int32), other.view(torch.int32))  # NaN included


@pytest.mark.slow
def test_a_trial_alone_measures_the_same(tmp_path: Path) -> None:
    together = run(place(tmp_path, "together"), *TYPED, BEFORE, *INTERVALS)
    typed = [*SMALL, *STACK, "goal.error=0.4", "trial=3", "optimizer.lr=1e-3"]
    alone = run(place(tmp_path, "alone"), *typed, BEFORE, *INTERVALS)
    for kind in KINDS:
        frame = measurements.read(together, kind).query("trial == 3").reset_index(drop=True)
        pd.testing.assert_frame_equal(measurements.read(alone, kind), frame)


FEW_DIGITS = """
from dataclasses import replace
from functools import wraps
from dps.data import sources

every = sources.digits()
few = replace(every, train=every.train[:60], train_labels=every.train_labels[:60])
sources.digits = wraps(sources.digits)(lambda: few)
"""
# Types the command, and a SIGKILL to itself in the middle of a measurement.
KILLED = f"""{FEW_DIGITS}
import os, signal
from dps import main
from callbacks import curves

loss_and_error, calls = curves.loss_and_error, []

def fatal(*arguments):
    calls.append(arguments)
    if len(calls) == 9:
        os.kill(os.getpid(), signal.SIGKILL)
    return loss_and_error(*arguments)

curves.loss_and_error = fatal
main.main()
"""


@pytest.mark.slow
@pytest.mark.fault("a study that measures, killed")
def test_a_killed_study_ends_with_the_measurements_it_would_have_had(tmp_path: Path) -> None:
    whole = run(place(tmp_path, "whole"), *TYPED, AFTER, *INTERVALS)
    killed = place(tmp_path, "killed")
    command = [sys.executable, "-c", KILLED, *TYPED, AFTER, *INTERVALS, "bookkeeping.checkpoint.every_seconds=0"]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=killed, env=env, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == -9, done.stderr
    assert steps_of(study(killed, 8), CURVES)[3][-1] < 12
    folder = run(killed, *TYPED, AFTER, *INTERVALS)
    for kind in KINDS:
        assert kind.path(folder).read_text() == kind.path(whole).read_text(), kind.name


@pytest.mark.slow
def test_jobs_of_one_study_write_to_the_same_files(tmp_path: Path) -> None:
    typed = ["-m", *SMALL, *STACK, BEFORE, *INTERVALS, "goal.error=0", "sparsity=0"]
    assert dps(tmp_path, *typed, "hydra.sweeper.trials=3", "hydra.sweeper.trials_per_job=1").code == 0
    for kind, steps in ((SMOOTHNESS, [0, 4, 8]), (NOISE, [0, 6, 12]), (CURVES, [0, 4, 8, 12])):
        assert steps_of(study(tmp_path, 8), kind) == dict.fromkeys(range(3), steps)


@pytest.mark.slow
def test_another_precision_and_no_logger(tmp_path: Path) -> None:
    folder = run(tmp_path, *TYPED, AFTER, *INTERVALS, "trainer.precision=bf16-mixed", "logger=null")
    assert steps_of(folder, CURVES)[3] == [0, 4, 8]
    assert measurements.read(folder, SMOOTHNESS).query("trial == 3")["smoothness"].between(0, 1e4).all()


# ---- what users get wrong, and see


@pytest.mark.parametrize("value", ["0", "-5", "2.5", "null", "true", "often"])
@pytest.mark.parametrize("name", ["smoothness", "noise", "curves"])
def test_intervals_are_checked(tmp_path: Path, name: str, value: str) -> None:
    if (name, value) == ("noise", "null"):
        return
    done = dps(tmp_path, *TYPED, f"callbacks=[goal,{name}]", f"callbacks.{name}.interval_steps={value}")
    assert done.code == 1 and done.stderr.count("\n") == 1
    assert done.stderr.startswith(f"dps: callbacks.{name}.interval_steps={value} must be a positive integer")


def test_the_line_says_what_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    asked: list[Callable[[], display.Position]] = []

    def say(task: StudyTask, doing: str) -> None:
        vars(task)["said"] = doing
        if doing:
            at = asked[0]()
            said.append(f"{at.doing}, {at.running} of {at.trials} trials")

    monkeypatch.setattr(display, "training", asked.append)
    monkeypatch.setattr(StudyTask, "doing", property(lambda task: vars(task)["said"], say), raising=False)
    run(tmp_path, *TYPED, AFTER, *INTERVALS)
    every = {"smoothness 1/3: 1/10", "smoothness 3/3: 10/10", "noise 2/3: 4/4", "curves 1/3: 1/1"}
    assert {f"{doing}, 3 of 3 trials" for doing in every} <= set(said)
    assert "smoothness 1/1: 10/10, 1 of 3 trials" in said  # the last trial, which another's end has left alone
    assert max(map(len, said)) < 50  # the line, which has a step and two times as well, fits in 80 columns


@pytest.mark.slow
def test_two_ranks_write_one_file(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(FEW_DIGITS)  # which Python runs at the start of each rank
    typed = ["callbacks=[goal,smoothness,curves]", *SMALL, *STACK, "trial=[0,1]", "goal.error=0", "max_steps=8"]
    typed += ["callbacks.smoothness.interval_steps=4", "callbacks.curves.interval_steps=4", "sparsity=0.5"]
    typed += ["trainer.precision=64-true"]
    found = []
    for name, ranks in (("one", []), ("two", ["trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2"])):
        env = {"PYTHONPATH": str(tmp_path)}
        done = process(place(tmp_path, name), *typed, *ranks, env=env, seconds=300)
        assert done.code == 0, done.stderr
        found.append([measurements.read(study(tmp_path / name, 8, "0.5"), kind) for kind in (SMOOTHNESS, CURVES)])
    for one, two in zip(*found, strict=True):
        assert len(one) == 4 and not one.isna().any(axis=None)
        tied = [name for name in one if name == "smoothness_all_weights"]  # gradients.survivors_and_all says why
        pd.testing.assert_frame_equal(one.drop(columns=tied), two.drop(columns=tied), rtol=1e-9)
        pd.testing.assert_frame_equal(one[tied], two[tied], rtol=1e-6)
