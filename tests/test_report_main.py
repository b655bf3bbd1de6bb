"""The command `dps-report`: what it writes, what it leaves alone, what it refuses."""

import csv
import math
import os
import re
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import matplotlib
import pandas as pd
import pytest
from command import contents

from dps import errors
from dps.report.main import main
from dps.storage.records import merge

SETTING = {
    "workload": "digits_simple_cnn_momentum",
    "dataset": "digits",
    "model": "simple_cnn",
    "optimizer": "momentum",
    "lr_schedule": "constant",
    "pruning": "snip",
    "goal_error": 0.05,
    "interval_steps": 16,
    "max_steps": 4000,
}
Report = Callable[..., tuple[int, str, str]]


def steps(batch_size: int, sparsity: float, trial: int) -> int:
    """Made-up steps to result: a curve c1/B + c2, slower when sparse, in whole check intervals."""
    exact = (4000 / batch_size + 60) * (3 if sparsity else 1) * (1 + 0.1 * trial)
    return 16 * math.ceil(exact / 16)


def study(folder: Path, batch_size: int, sparsity: float, **changed: Any) -> Path:
    """A study of five trials, of which the last two do not reach the goal."""
    path = folder / f"batch_size={batch_size},sparsity={sparsity:g}"
    path.mkdir(parents=True)
    rows = []
    for trial in range(5):
        row = {**SETTING, "batch_size": batch_size, "sparsity": sparsity, "trial": trial, "seed": trial}
        row |= {"replicate": 0, **changed}
        row |= {
            "lr": 0.01 * 2**trial,
            "momentum": 1 - 0.1 / 2**trial,
            "status": ("incomplete", "infeasible")[trial % 2],
        }
        row |= {"steps_run": 4000, "train_seconds": 1.0, "evaluate_seconds": 1.0}
        if trial < 3:
            reached = steps(batch_size, sparsity, trial)
            row |= {"status": "complete", "steps_to_result": reached, "steps_run": reached, "validation_error": 0.05}
        rows.append(row)
    merge(path, rows)
    return path


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    """A sweep of which one study is still running and one has not begun."""
    folder = tmp_path / "sweep"
    for batch_size in (4, 16, 64, 256):
        for sparsity in (0, 0.9):
            if (batch_size, sparsity) != (16, 0.9):
                study(folder, batch_size, sparsity)
    (folder / "batch_size=256,sparsity=0.9" / "trials=0-9.ckpt").touch()
    return folder


@pytest.fixture
def report(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Report]:
    """Runs the command within this process; exit code, stdout, stderr."""
    monkeypatch.setattr(errors, "SHOW_TRACEBACK", False)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr("dps.report.main.QUIET_SECONDS", 600)

    def run(*arguments: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["dps-report", *map(str, arguments)])
        code = 0
        try:
            main()
        except SystemExit as end:
            code = 1 if isinstance(end.code, str) else int(end.code or 0)
            print(end.code if isinstance(end.code, str) else "", file=sys.stderr, end="")
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    with matplotlib.rc_context():
        yield run


def test_tables_figures_and_page_are_written(sweep: Path, report: Report) -> None:
    code, printed, complaint = report(sweep)
    folder = sweep / "report"
    assert (code, complaint) == (0, "")
    table = pd.read_csv(folder / "study.csv").set_index(["sparsity", "batch_size"])
    assert len(table) == 7
    for (sparsity, batch_size), row in table.iterrows():
        assert row["steps_to_result"] == min(steps(batch_size, sparsity, trial) for trial in range(3))
    assert list(pd.read_csv(folder / "theory.csv")["sparsity"]) == [0, 0.9]
    assert list(pd.read_csv(folder / "claims.csv")["number"]) == list(range(1, 9))
    stems = {path.stem for path in folder.glob("figure_*")}
    assert {"figure_1_digits_simple_cnn_momentum"} <= stems
    assert {path.name for path in folder.iterdir()} == {
        *(f"{stem}.{kind}" for stem in stems for kind in ("pdf", "png")),
        *("k_star.csv", "study.csv", "theory.csv", "budget.csv", "claims.csv", "index.html", ".dps-report.json"),
    }
    page = (folder / "index.html").read_text()
    assert page.count("<figure") == len(stems) and "6 of 8 studies finished, 1 unfinished, 1 missing" in page
    assert "6 of 8 studies finished, 1 unfinished, 1 missing" in printed and "not enough data" in printed
    assert "batch_size=256,sparsity=0.9 is still running" in printed and "batch_size=16 sparsity=0.9" in printed
    assert printed.splitlines()[-1] == f"Report: {folder / 'index.html'}"


def test_figures_are_sharp_and_say_whose_they_are(sweep: Path, report: Report) -> None:
    report(sweep, "--figures", "12")
    (png,) = (path.read_bytes() for path in (sweep / "report").glob("*.png"))
    at = png.index(b"pHYs") + 4
    assert struct.unpack(">II", png[at : at + 8]) == (7874, 7874)  # 200 dots per inch, in dots per metre
    (pdf,) = (path.read_bytes() for path in (sweep / "report").glob("*.pdf"))
    assert pdf.startswith(b"%PDF") and b"dps-report" in pdf and b"dps-report" in png


def test_the_same_command_again_writes_the_same(sweep: Path, report: Report) -> None:
    arguments = (sweep, "--figures", "1", "12", "--output", sweep.parent / "new" / "report")
    assert report(*arguments)[0] == 0
    first = {name: content for name, (_, content) in contents(arguments[-1]).items()}
    assert report(*arguments)[0] == 0
    assert {name: content for name, (_, content) in contents(arguments[-1]).items()} == first
    assert not (sweep / "report").exists()


def test_what_is_no_longer_drawn_goes_and_what_is_not_ours_stays(sweep: Path, report: Report) -> None:
    report(sweep, "--figures", "1", "12")
    folder = sweep / "report"
    ours = folder / "figure_1_digits_simple_cnn_momentum.png"
    theirs = {"figure_1_annotated.png": ours.read_bytes(), "figure_9.pdf": b"%PDF-1.4 of dps-report", "notes.txt": b"a"}
    theirs["figure_1_digits_simple_cnn_momentum.pdf"] = b"%PDF-1.4 ours, with a note"
    for name, content in theirs.items():
        (folder / name).write_bytes(content)
    report(sweep, "--figures", "12")
    assert not ours.exists()
    assert {path.stem for path in folder.glob("figure_*")} == {
        *("figure_12_sparse_over_dense", "figure_1_annotated", "figure_9", ours.stem)
    }
    assert {name: (folder / name).read_bytes() for name in theirs} == theirs


def test_a_spreadsheet_runs_no_cell(tmp_path: Path, report: Report) -> None:
    study(tmp_path / "sweep", 4, 0, workload="=cmd|' /C calc'!A0", dataset="@SUM(1)")
    assert report(tmp_path / "sweep", "--figures", "12")[0] == 0
    for path in (tmp_path / "sweep" / "report").glob("*.csv"):
        for row in csv.reader(path.read_text().splitlines()):
            assert not [cell for cell in row if cell[:1] in {*"=@+\t\r"} or re.match(r"-\D", cell)], path
    row = pd.read_csv(tmp_path / "sweep" / "report" / "study.csv").iloc[0]
    assert (row["workload"], row["dataset"]) == ("'=cmd|' /C calc'!A0", "'@SUM(1)")


def test_measurements_come_from_other_folders_too(sweep: Path, tmp_path: Path, report: Report) -> None:
    measured = study(tmp_path / "measured", 64, 0.9)
    header = "trial,step,smoothness,smoothness_all_weights"
    (measured / "smoothness.csv").write_text(f"{header}\n0,0,1.5,1.5\n0,100,2.5,2.5\n1,0,1.0,1.0\n")
    assert report(sweep, "--measured", tmp_path / "measured", "--figures", "5")[0] == 0
    assert [path.stem for path in (sweep / "report").glob("*.pdf")] == ["figure_5_digits_simple_cnn_momentum"]
    table = pd.read_csv(sweep / "report" / "study.csv")
    assert len(table) == 7  # the folder's trials are not a study of the report


def damage(folder: Path) -> Path:
    """Cuts the third line of a record short."""
    path = folder / "batch_size=4,sparsity=0" / "trials.csv"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([*lines[:2], "digits,\n", *lines[3:]]))
    return folder


def mix(folder: Path) -> Path:
    """Adds a study that checks at another interval."""
    study(folder, 8, 0, interval_steps=8)
    return folder


@pytest.mark.parametrize(
    ("prepare", "options", "words"),
    [
        (lambda folder: folder.parent / "nowhere", [], ["nowhere"]),
        (lambda folder: next(folder.iterdir()) / "trials.csv", [], ["trials.csv"]),
        (lambda folder: (folder.parent / "empty").mkdir() or folder.parent / "empty", [], ["empty", "trials.csv"]),
        (damage, [], ["batch_size=4,sparsity=0/trials.csv", "line 3"]),
        (mix, [], ["interval_steps", "8", "16"]),
        (lambda folder: folder, ["--figures", "1", "99"], ["99", "12"]),
        (lambda folder: folder, ["--measured", "nosuch"], ["nosuch"]),
    ],
)
def test_wrong_input_is_one_sentence_and_nothing_is_written(
    sweep: Path, report: Report, prepare: Callable[[Path], Path], options: list[str], words: list[str]
) -> None:
    folder = prepare(sweep)
    before = contents(sweep.parent)
    code, printed, complaint = report(folder, "--output", sweep.parent / "out", *options)
    assert (code, printed) == (1, "") and len(complaint.splitlines()) == 1
    assert complaint.startswith("dps-report: ") and all(word in complaint for word in words)
    assert contents(sweep.parent) == before and not (sweep.parent / "out").exists()


def test_a_folder_that_holds_something_else_is_refused(sweep: Path, tmp_path: Path, report: Report) -> None:
    notes, foreign, file = tmp_path / "notes", tmp_path / "site", tmp_path / "file"
    for path in (notes, foreign):
        path.mkdir()
    (notes / "study.csv").write_text("mine")
    (foreign / "index.html").write_text("<html>a page about dps-report</html>")
    file.write_text("mine")
    for path in (notes, foreign, file, sweep, file / "below"):
        before = contents(tmp_path)
        code, _, complaint = report(sweep, "--output", path, "--figures", "12")
        assert code == 1 and len(complaint.splitlines()) == 1
        assert str(path) in complaint and "--output FOLDER" in complaint
        assert contents(tmp_path) == before


def test_an_empty_folder_is_taken(sweep: Path, tmp_path: Path, report: Report) -> None:
    (tmp_path / "out").mkdir()
    assert report(sweep, "--output", tmp_path / "out", "--figures", "12")[0] == 0


def test_a_file_that_cannot_be_replaced_keeps_what_it_held(sweep: Path, report: Report) -> None:
    report(sweep, "--figures", "12")
    (sweep / "report" / "theory.csv").unlink()
    (sweep / "report" / "theory.csv").mkdir()
    code, _, complaint = report(sweep, "--figures", "12")
    assert code == 1 and "--output FOLDER" in complaint
    assert not [path for path in (sweep / "report").rglob("*") if path.suffix == ".tmp"]


def test_help_names_the_options(report: Report) -> None:
    code, printed, _ = report("--help")
    assert code == 0
    for word in ("FOLDER", "--measured", "--output", "--figures", "trials.csv", "index.html"):
        assert word in printed


@pytest.mark.slow
def test_the_command_needs_neither_torch_nor_pyplot(sweep: Path) -> None:
    script = "import sys; from dps.report.main import main; main()\n"
    script += "sys.exit(', '.join({'torch', 'lightning', 'matplotlib.pyplot'} & set(sys.modules)) or 0)"
    command = [sys.executable, "-c", script, str(sweep), "--figures", "12"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "COLUMNS": "100"})
    assert done.returncode == 0, done.stderr
    assert (sweep / "report" / "index.html").exists()
