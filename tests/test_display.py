"""What a terminal shows of studies that run, and the lines that stay."""

import io
import os
import re
import time
from pathlib import Path
from typing import Any

import pytest
from command import dps, study
from rich.console import Console

from callbacks import StudyProgress
from dps.engine import display, fit
from dps.engine.display import Position, Shown
from dps.engine.study import Study
from dps.engine.sweep import Job, Sweep
from dps.report import finished
from dps.storage import ownership, records

SMALL = ["batch_size=8", "goal.error=0.3", "goal.interval_steps=4", "max_steps=8"]
TWO = ["trial=[0,3]", "optimizer.lr=[0.02,0.01]"]


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What the display writes, as it would to a terminal, once it has drawn at every step."""
    written = io.StringIO()
    console = Console(file=written, force_terminal=True, width=150, color_system=None)
    monkeypatch.setattr(display, "Console", lambda **_: console)
    monkeypatch.setattr(display, "DRAWN_A_SECOND", 0.001)

    def draw(*_: Any) -> None:
        assert display._Open.display is not None and display._Open.display._live is not None
        display._Open.display._live.refresh()

    monkeypatch.setattr(StudyProgress, "on_train_batch_end", draw)
    return written


def lines(stdout: str) -> list[str]:
    return [line for line in stdout.splitlines() if re.match(r"\d of \d  |batch_size=", line)]


def test_a_sweep_counts_its_studies_and_each_of_them_leaves_a_line(tmp_path: Path, screen: io.StringIO) -> None:
    sweep = ["-m", *SMALL, "batch_size=8,16", "hydra.sweeper.trials=2"]
    first = dps(tmp_path, *sweep)
    assert first.code == 0
    shown = screen.getvalue()
    assert "1 of 2  batch_size=8, sparsity=0" in shown and "2 of 2  batch_size=16, sparsity=0" in shown
    assert "0 of 2 studies, " in shown and re.search(r"1 of 2 studies, .* left, going by 1 finished", shown)
    for number, (batch_size, line) in enumerate(zip((8, 16), lines(first.stdout), strict=True), start=1):
        found = finished.sentence(study(tmp_path, batch_size))
        said = f"{number} of 2  batch_size={batch_size}, sparsity=0: {found}, "
        assert re.fullmatch(re.escape(said) + r"\d+\.\d s", line)
        log = (study(tmp_path, batch_size) / "dps.log").read_text()
        assert log.count("\n") == 1 and log.endswith(f"{line}\n")
    folder = "outputs/digits_simple_cnn_momentum"
    end = rf"2 studies in \d+\.\d s\.\nNext: dps-report {folder}, or dps-confirm {folder}\n"
    assert re.search(end + "$", first.stdout)

    screen.truncate(0)
    again = dps(tmp_path, *sweep)
    k_stars = [finished.k_star(study(tmp_path, batch_size)) for batch_size in (8, 16)]
    assert lines(again.stdout) == [
        f"{n} of 2  batch_size={8 * n}, sparsity=0: {k_stars[n - 1]}, finished before" for n in (1, 2)
    ]
    assert all((study(tmp_path, b) / "dps.log").read_text().count("\n") == 1 for b in (8, 16))


@pytest.mark.slow
def test_the_jobs_of_one_study_are_one_study(tmp_path: Path, screen: io.StringIO) -> None:
    typed = ["batch_size=8,16", "hydra.sweeper.trials=2", "hydra.sweeper.trials_per_job=1"]
    done = dps(tmp_path, "-m", *SMALL, *typed)
    assert [line.split()[0] for line in lines(done.stdout)] == ["1", "1", "2", "2"]
    assert [" after 1 of 2 trials, " in line for line in lines(done.stdout)] == [True, False] * 2
    counts = re.findall(r"(\d) of 2 studies", screen.getvalue())
    assert list(dict.fromkeys(counts)) == ["0", "1", "2"] and "of 4 studies" not in screen.getvalue()
    assert {ownership.sweep_trials(path.parent) for path in tmp_path.rglob("trials.csv")} == {2}


@pytest.mark.parametrize(
    ("early_reject", "state"), [("true", r"missed at (48|96|144)/150"), ("false", r"error [3-9]\d\.\d% > goal 30\.0%")]
)
def test_a_study_by_itself(tmp_path: Path, screen: io.StringIO, early_reject: str, state: str) -> None:
    done = dps(tmp_path, *SMALL, *TWO, "optimizer.lr=1e-6", f"goal.early_reject={early_reject}")
    shown = screen.getvalue()
    assert "batch_size=8, sparsity=0" in shown and "studies" not in shown
    assert re.search(r"step 3/8, 2 of 2 trials, \d+\.\d s", shown)  # before the first check
    assert re.search(rf"step 6/8, 2 of 2 trials, {state}, \d+\.\d s, at most 10 s left", shown)
    assert shown.rstrip("\r\n").endswith(("\x1b[?25h", "\x1b[2K"))
    (line,) = lines(done.stdout)
    said = "batch_size=8, sparsity=0: goal not reached, 0 complete / 2 incomplete / 0 infeasible / 0 censored, "
    assert line.startswith(said)


def test_the_jobs_of_other_processes_draw_nothing() -> None:
    with display.opened(None), display.study("1 of 2", 0), display.handed_over() as shown:
        display.training(lambda: pytest.fail("it is asked"))
    assert shown is None


def test_another_process_goes_on_drawing_where_this_one_was(screen: io.StringIO) -> None:
    sweep = Sweep([Job(Path("a"), "a", "w", 16, 0, 4)])
    with display.opened(Shown(sweep)), display.study("1 of 1  batch_size=16, sparsity=0", 0):
        with display.handed_over() as shown:
            before = screen.getvalue()
            assert before.endswith(("\x1b[?25h", "\x1b[2K"))  # the terminal is free
            assert shown is not None and shown.sweep is sweep and shown.study is not None
        assert screen.getvalue() != before
    assert sweep.studies_over == 1


def test_the_most_that_a_study_can_take(monkeypatch: pytest.MonkeyPatch, screen: io.StringIO) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    at = Position(100, 500, 3, 4, "smoothness 1/3: 2/5")
    with display.opened(Shown()), display.study("one", None):
        display.training(lambda: at)  # from a checkpoint of step 100
        now, at = 1060.0, at._replace(step=200)
        StudyProgress().on_train_batch_end(None, None, None, None, 0)  # type: ignore[arg-type]
    assert "step 200/500, 3 of 4 trials, smoothness 1/3: 2/5, 60.0 s, at most 3 min left" in screen.getvalue()


def test_a_study_that_fails_says_so_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("no luck")

    monkeypatch.setattr(StudyProgress, "on_train_start", broken)
    done = dps(tmp_path, "-m", *SMALL, "hydra.sweeper.trials=2")
    (line,) = lines(done.stdout)
    assert re.fullmatch(
        r"1 of 1  batch_size=8, sparsity=0: failed after \d+\.\d s: no luck \(test_display\.py, line \d+\)", line
    )
    assert "Traceback" in (study(tmp_path, 8) / "dps.log").read_text()
    assert "1 study in " in done.stdout and done.code == 1


def test_the_end_shows_the_studies_that_can_be_read_and_names_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def damaged_meanwhile(own: Study) -> None:
        train(own)
        if own.cfg.batch_size == 16:
            path.write_bytes(path.read_bytes().replace(b"digits", b"letters", 1))

    path, train = study(tmp_path, 8) / records.FILE, fit.fit
    monkeypatch.setattr(fit, "fit", damaged_meanwhile)
    done = dps(tmp_path, "-m", *SMALL, "batch_size=8,16", "hydra.sweeper.trials=2")
    assert len(lines(done.stdout)) == 2 and "\x1b" not in done.stdout  # nothing is drawn where there is no terminal
    assert done.code == 1 and done.stderr.count("\n") == 1
    assert "1 of 2 studies failed" in done.stderr and f"{path} is damaged" in done.stderr
    assert "    16 │" in done.stdout and "     8 │" not in done.stdout
    assert os.fspath(path.parent.parent.relative_to(tmp_path)) in done.stdout.splitlines()[-1]
