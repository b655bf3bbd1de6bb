"""The bench: what it reports, and that both ways of doing a study give one answer."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from command import CACHE
from rich.console import Console

from dps.bench.report import Case, save, show

RATES = {"matrix_product_flops": 4e11, "train": 7000.0, "forward": 20000.0}


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


@pytest.mark.slow
def test_the_command_runs_both_ways_to_one_answer(tmp_path: Path) -> None:
    typed = ["batch_size=16", "sparsity=0.9", "max_steps=64", "goal.error=0.3"]
    typed += ["bench.seconds=0.05", "bench.batch_sizes=[4]", "bench.stacks=[1,2]", "bench.trials=2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "DPS_CACHE": CACHE.name}
    command = [sys.executable, "-c", "from dps.bench.main import main; main()", *typed]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    said = done.stderr.splitlines()
    assert len(said) > 9 and all(line.startswith("dps-bench: after ") for line in said)
    assert "the whole study, of 2 trials" in done.stderr and "whole study" in done.stdout
    saved = json.loads((tmp_path / "outputs/bench/digits_simple_cnn_momentum/bench.json").read_text())
    names = {case["name"]: case for case in saved["cases"]}
    assert "whole study" in names and names["small study, whole, float64"]["note"].startswith("both ways: [")
    assert all(case["our_seconds"] > 0 for case in saved["cases"])
