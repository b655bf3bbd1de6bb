import io
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from dps.analysis.confirmed import summary
from dps.analysis.contenders import best_configurations
from dps.analysis.pooled import geometric_mean
from dps.report import terminal
from dps.storage import confirmations, records


def study(folder: Path, batch_size: int, sparsity: float, rows: list[dict[str, Any]], **changed: Any) -> Path:
    folder.mkdir()
    common: dict[str, Any] = {"workload": "digits_[cnn]", "optimizer": "momentum", "goal_error": 0.02}
    common |= {"status": "incomplete", "interval_steps": 1}
    common |= {"batch_size": batch_size, "sparsity": sparsity, "replicate": 0, **changed}
    records.merge(folder, [{**common, "trial": trial, **row} for trial, row in enumerate(rows)])
    return folder


def done(steps: int, **values: Any) -> dict[str, Any]:
    return {"status": "complete", "steps_to_result": steps, "lr": 0.012345, "momentum": 0.9997, **values}


def shown(folders: list[Path], width: int = 100) -> str:
    console = Console(file=io.StringIO(), record=True, width=width)
    terminal.show(folders, console)
    return console.export_text()


@pytest.fixture
def grid(tmp_path: Path) -> list[Path]:
    no_goal = [{}, {"status": "infeasible"}, {"status": "infeasible"}]
    folders = [study(tmp_path / "a", 16, 0.9, [{"status": "censored"}, done(4321), done(1234)])]
    folders.append(study(tmp_path / "b", 4, 0.9, no_goal))
    folders.append(study(tmp_path / "c", 16, 0, [done(800, lr=0.5, momentum=None), {}, {}]))
    return [*folders, tmp_path / "not_started"]


def cells(text: str, word: str) -> list[str]:
    line = next(line for line in text.splitlines() if word in line)
    return [cell.strip() for cell in line.replace("┃", "│").split("│")]


def test_batch_sizes_go_down_and_sparsities_across(grid: list[Path]) -> None:
    text = shown(grid)
    assert "digits_[cnn]: K*, the steps to a validation error of 0.02, 3 trials a study" in text
    assert cells(text, "dense") == ["size", "dense", "90% sparse"]
    assert cells(text, "0/1/2/0")[1:] == ["", "0/1/2/0"]
    assert cells(text, " 4 │") == ["4", "", "-"]
    assert cells(text, " 16 │") == ["16", "800", "1234"]
    assert cells(text, "0.9997") == ["", "lr=0.5", "lr=0.0123 momentum=0.9997"]
    assert cells(text, "2/0/0/1") == ["", "1/2/0/0", "2/0/0/1"]
    assert text.index(" 4 │") < text.index(" 16 │")
    assert "complete / incomplete / infeasible / censored" in " ".join(text.split())


@pytest.mark.parametrize("width", [100, 60])
def test_four_sparsities_lose_nothing_at_a_narrow_width(tmp_path: Path, width: int) -> None:
    folders = [
        study(tmp_path / str(sparsity), 16384, sparsity, [done(31234, decay_steps=41237, end_factor=0.00123456)])
        for sparsity in (0, 0.5, 0.7, 0.9)
    ]
    text = shown(folders, width)
    assert max(map(len, text.splitlines())) <= width
    assert text.count("31234") == 4 and text.count("1/0/0/0") == 4
    if width == 100:
        for value in ("lr=0.0123", "momentum=0.9997", "decay_steps=41237", "end_factor=0.00123", "% sparse"):
            assert text.count(value) == (3 if value == "% sparse" else 4)


def test_four_sparsities_of_momentum_fit_a_terminal_of_80_columns(tmp_path: Path) -> None:
    folders = [study(tmp_path / str(sparsity), 16384, sparsity, [done(31234)]) for sparsity in (0, 0.5, 0.7, 0.9)]
    text = shown(folders, 80)
    assert text.count("momentum=0.9997") == 4 and text.count("lr=0.0123") == 4


def test_other_settings_get_a_table_that_names_them(tmp_path: Path, grid: list[Path]) -> None:
    other = study(tmp_path / "other", 16, 0.9, [done(99)], optimizer="sgd")
    text = shown([*grid, other])
    assert "1 trial a study; optimizer=sgd" in text and "3 trials a study; optimizer=momentum" in text
    goal = study(tmp_path / "goal", 16, 0.9, [done(77)], goal_error=0.03)
    text = shown([*grid, goal])
    assert "error of 0.03" in text and "error of 0.02" in text and "goal_error=" not in text


def test_a_folder_given_twice_is_shown_once_and_two_studies_of_a_cell_both(tmp_path: Path, grid: list[Path]) -> None:
    assert shown([*grid, *grid]) == shown(grid)
    text = shown([*grid, study(tmp_path / "again", 16, 0.9, [done(555)] * 5)])
    assert "1234" in text and "555" in text and "3 to 5 trials" in text


def test_nothing_recorded_says_so(tmp_path: Path) -> None:
    assert shown([tmp_path]).strip() == "No study has recorded a trial yet."


@pytest.mark.parametrize(
    ("momentum", "expected"),
    [
        (0.9997, "0.9997"),
        (0.99937, "0.99937"),
        (0.95, "0.95"),
        (0.95234, "0.952"),
        (0.5, "0.5"),
        (0.00123456, "0.00123"),
    ],
)
def test_momentum_near_one_stays_readable(tmp_path: Path, momentum: float, expected: str) -> None:
    assert f"momentum={expected} " in shown([study(tmp_path / "s", 4, 0, [done(16, momentum=momentum)])])


def test_replicates_are_pooled_and_a_confirmed_k_star_stands_below(tmp_path: Path) -> None:
    folder = study(tmp_path / "a", 16, 0, [done(100), {}])
    again = study(tmp_path / "a" / "replicate=1", 16, 0, [{}, done(400, lr=0.5)], replicate=1)
    other = study(tmp_path / "b", 64, 0, [done(64)])
    configurations = best_configurations([records.read(folder), records.read(again)], 2)
    steps = np.array([[144.0, math.inf]] * 20 + [[math.inf, 80.0]] * 4)
    confirmations.write(folder, summary(configurations, steps, 4000))
    text = shown([folder, again, other])
    low, high = geometric_mean([100, 400], 1)[1:]
    assert cells(text, " 16 │") == ["16", f"200 ({low:.0f} to {high:.0f})"]
    lines = [line.split("│")[1].strip() for line in text.splitlines() if "│" in line]
    assert lines[lines.index("100") :][:3] == ["100", "lr=0.0123 momentum=0.9997", "1/1/0/0"]
    assert "400" in lines and "confirmed 144 (144 to 144, 20 of 24 seeds in 4000 steps)" in lines
    assert "2 replicates" in text and "geometric mean" in text and "fresh seeds" in text
    assert "geometric mean" not in shown([other]) and "fresh seeds" not in shown([other])
