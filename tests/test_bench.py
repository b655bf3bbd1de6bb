"""The bench: what it reports, and that both ways of doing a study give one answer."""

import io
import json
import logging
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from command import CACHE, here
from configuration import Composed, refusal
from omegaconf import open_dict
from rich.console import Console
from torch import nn

from dps.bench import cases
from dps.bench.comparable import refuse_incomparable
from dps.bench.main import main as bench
from dps.bench.plain import PlainTrial
from dps.bench.report import Case, save, show
from dps.stages import Stages

RATES = {"matrix_product_flops": 4e11, "train": 7000.0, "forward": 20000.0}
SMALL = "{trials: 3, batch_size: 8, max_steps: 24, goal_error: 0.3}"
BENCH = [
    f"+bench={{trials: 2, stacks: [1], batch_sizes: [4], seconds: 0.01, small: {SMALL}, json: bench.json}}",
    *("stack.trials_per_slice=1", "stack.examples_per_pass=32", "stack.products=false"),  # measuring them takes longer
]


def test_a_row_compares_and_says_what_was_added_up() -> None:
    console = Console(record=True, width=120, color_system=None, file=io.StringIO())
    cases = [
        Case("step", plain_seconds=2e-3, our_seconds=5e-4, irreducible_seconds=4e-4),
        Case("whole study", plain_seconds=36000.0, our_seconds=720.0, assembled=True, note="K*=[16]"),
    ]
    show(cases, RATES, console)
    text = console.export_text()
    step, study, note = (next(line for line in text.splitlines() if word in line) for word in ("step ", "whole", "K*"))
    assert step.split() == ["step", "2", "ms", "500", "us", "4.0", "x", "400", "us", "1.25"]
    assert study.split() == ["whole", "study", "10.0", "h", "*", "12", "min", "50.0", "x"]
    assert note.strip() == "K*=[16]"
    assert "400 GFLOP/s" in text and "7,000" in text


def test_the_file_holds_every_case(tmp_path: Path) -> None:
    save(tmp_path / "new" / "bench.json", [Case("step", 3.0, 1.5)], RATES, {"batch_size": 16})
    saved = json.loads((tmp_path / "new" / "bench.json").read_text())
    assert saved["cases"][0]["times_faster"] == 2.0
    assert saved["rates"] == RATES and saved["config"] == {"batch_size": 16}


@pytest.mark.parametrize(
    ("typed", "refused"),
    [
        ("workload=mnist_simple_cnn_adamw", "optimizer=adamw must be sgd, momentum or nesterov: "),
        ("lr_schedule=linear", "lr_schedule=linear must be constant: "),
        ("lr_schedule.warmup_steps=50", "lr_schedule.warmup_steps=50 must be null: "),
        ("optimizer.weight_decay=0.001", "optimizer.weight_decay=0.001 must be null: "),
        ("loss.label_smoothing=0.1", "loss.label_smoothing=0.1 must be null: "),
        ("pruning=grasp", "pruning=grasp must be snip: "),
        (
            "pruning.criterion._target_=dps.pruning.magnitude",
            "pruning.criterion._target_=dps.pruning.magnitude must be ",
        ),
        ("trainer.devices=2", "trainer.devices=2 must be 1: "),
        ("callbacks.goal._target_=callbacks.Record", "callbacks.goal._target_=callbacks.Record must be callbacks."),
    ],
)
def test_what_the_plain_way_does_not_train_is_refused_before_anything_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, typed: str, refused: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(logging.root, "handlers", logging.root.handlers[:])
    monkeypatch.setattr(logging.root, "level", logging.root.level)
    monkeypatch.setattr(cases, "data_for", lambda cfg: pytest.fail("the data are read"))
    done = here(bench, "dps-bench", typed)
    assert (done.code, done.stdout) == (1, "")
    assert done.stderr.startswith(f"dps-bench: {refused}") and done.stderr.count("\n") == 1


def test_a_metaparameter_that_only_the_search_space_names_is_refused(composed: Composed) -> None:
    cfg = composed()
    refuse_incomparable(cfg)
    with open_dict(cfg):
        cfg.space["loss.label_smoothing"] = "interval(0.1, 0.2)"
    assert refusal(refuse_incomparable, cfg).startswith("loss.label_smoothing=")


@pytest.mark.filterwarnings("ignore:.*does not have many workers")
@pytest.mark.parametrize("typed", ["optimizer=nesterov", pytest.param("replicate=1", marks=pytest.mark.slow)])
def test_both_ways_train_the_same(composed: Composed, tmp_path: Path, typed: str) -> None:
    with Stages("dps-bench") as at:
        case = cases.small_study_case(composed(*BENCH, "goal.interval_steps=4", typed), tmp_path, at)
    assert any(steps.isdigit() for steps in re.findall(r"\w+", case.note))


def test_nesterov_without_momentum_is_plain_sgd() -> None:
    task = PlainTrial(nn.Linear(1, 1), {}, lr=0.1, momentum=0.0, nesterov=True, goal_error=0.0)
    assert task.configure_optimizers().defaults["nesterov"] is False


@pytest.mark.parametrize(
    ("max_steps", "thirds"), [(8, []), (16, ["early"]), (32, ["early", "middle"]), (48, ["early", "middle", "late"])]
)
def test_a_study_that_ends_early_has_as_many_thirds_as_checks(
    composed: Composed, tmp_path: Path, max_steps: int, thirds: list[str]
) -> None:
    cfg = composed(*BENCH, "goal.error=0", "batch_size=4", f"max_steps={max_steps}")
    with Stages("dps-bench") as at:
        found = list(cases.study_cases(cfg, cases.data_for(cfg), RATES, cases.Costs(0.01, 0.1, 1.0), tmp_path, at))
    named = {case.name: case for case in found}
    assert [name for name in named if name.startswith("goal check")] == [f"goal check, {name} third" for name in thirds]
    assert ("no check failed" in named["whole study"].note) == (not thirds)
    assert all(case.our_seconds for case in found)


@pytest.mark.slow
def test_the_command_runs_both_ways_to_one_answer(tmp_path: Path) -> None:
    typed = ["batch_size=16", "sparsity=0.9", "max_steps=64", "goal.error=0.3"]
    typed += ["bench.seconds=0.05", "bench.batch_sizes=[4]", "bench.stacks=[1,2]", "bench.trials=2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "DPS_CACHE": CACHE.name}
    command = [sys.executable, "-c", "from dps.bench.main import main; main()", *typed]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    said = [line for line in done.stderr.splitlines() if "No CUDA runtime is found" not in line]  # torch's own
    assert len(said) > 9 and all(line.startswith("dps-bench: after ") for line in said)
    assert "the whole study, of 2 trials" in done.stderr and "whole study" in done.stdout
    saved = json.loads((tmp_path / "outputs/bench/digits_simple_cnn_momentum/bench.json").read_text())
    names = {case["name"]: case for case in saved["cases"]}
    assert "whole study" in names and names["small study, whole, float64"]["note"].startswith("both ways: [")
    assert all(case["our_seconds"] > 0 for case in saved["cases"])
