"""A study's folder that was copied, damaged, linked or cannot be written, as the commands meet it."""

import errno
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from command import Done, contents, dps, rows, study

from dps import errors
from dps.confirm.main import main as dps_confirm
from dps.report.main import main as dps_report
from dps.reproduce.main import main as dps_reproduce
from dps.storage import records

NOBODY = 65534
SMALL = ["batch_size=8", "goal.error=0.3", "goal.interval_steps=4", "max_steps=8", "logger=null"]
# Twelve times twelve times twelve ...: some billion values, once the aliases are followed.
BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 12)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


def refusals(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> list[Done]:
    """What `dps`, dps-report, dps-confirm and dps-reproduce say to the sweep's folder."""
    done = [dps(folder, *SMALL, "optimizer.lr=0.02")]
    monkeypatch.setattr(errors, "SHOW_TRACEBACK", False)
    for main in (dps_report, dps_confirm, dps_reproduce):
        monkeypatch.setattr(sys, "argv", ["command", str(folder / "outputs")])
        with pytest.raises(SystemExit) as end:
            main()
        done.append(Done(1, capsys.readouterr().out, str(end.value.code)))
    return done


@pytest.mark.fault("a damaged or foreign file in a study's folder")
def test_what_does_not_belong_to_the_study_is_refused_by_every_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert dps(tmp_path, *SMALL, "optimizer.lr=0.02").code == 0
    table, config = (study(tmp_path, 8) / name for name in (records.FILE, ".hydra/config.yaml"))
    row = table.read_text()
    for path, text, what in (
        (table, row.replace(",8,0.0,", ",16,0.0,"), "line 2, column batch_size: 16 is not the study's, 8"),
        (table, row.replace(",8,0.0,", ",8,0.9,"), "line 2, column sparsity: 0.9 is not the study's, 0"),
        (table, row.replace(",0,0,0,", ",0,-7,0,"), "line 2, column trial: -7 is not in [0, 9223372036854775808)"),
        (config, BOMB, "line 2 repeats the anchor a, and anchors are not read"),
        (config, config.read_text().replace("seed_data: 0", "seed_data: ${oc.env:HOME}"), "the interpolation ${oc.env"),
    ):
        whole = path.read_text()
        assert text != whole
        path.write_text(text)
        before = contents(tmp_path)
        for done in refusals(tmp_path, monkeypatch, capsys):
            assert done.code == 1 and done.stderr.strip().count("\n") == 0, done
            assert f"{path.relative_to(tmp_path)} is damaged: " in done.stderr and what in done.stderr, done
            assert "; restore the file" in done.stderr
        assert contents(tmp_path) == before
        path.write_text(whole)


@pytest.mark.fault("a trials.csv that is a link")
def test_a_linked_record_gets_the_rows_of_the_next_trial(tmp_path: Path) -> None:
    assert dps(tmp_path, *SMALL, "optimizer.lr=0.02").code == 0
    link, target = study(tmp_path, 8) / records.FILE, tmp_path / "big disk.csv"
    link.rename(target)
    link.symlink_to(target)
    assert dps(tmp_path, *SMALL, "optimizer.lr=0.01", "trial=1").code == 0
    assert link.is_symlink() and target.read_text().count("\n") == 3
    assert rows(study(tmp_path, 8))["lr"].tolist() == [0.02, 0.01]


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Nothing at or below the folder can be written, not even by root."""
    every, user = [folder, *folder.rglob("*")], os.geteuid()
    for path in every:
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        os.seteuid(user or NOBODY)
        assert not os.access(folder, os.W_OK, effective_ids=True)
        yield
    finally:
        os.seteuid(user)
        for path in every:
            path.chmod(0o755 if path.is_dir() else 0o644)


def timeless(done: Done) -> Done:
    return replace(done, stdout=re.sub(r"in \d+\.\d s", "", done.stdout))


@pytest.mark.fault("a disk that is read only")
def test_a_finished_study_is_shown_where_nothing_can_be_written() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sweep = ["-m", *SMALL, "hydra.sweeper.trials=2", "race=false"]
        alone = [*SMALL, "trial=2", "optimizer.lr=0.02", "race=false"]
        assert [dps(folder, *sweep).code, dps(folder, *alone).code] == [0, 0]
        first = [timeless(dps(folder, *sweep)), timeless(dps(folder, *alone))]
        with read_only(folder):
            assert [timeless(dps(folder, *sweep)), timeless(dps(folder, *alone))] == first
            more = dps(folder, *alone, "trial=3")
        assert [done.code for done in first] == [0, 0] and "3 trials" in first[0].stdout
        assert more.code == 1 and "cannot be written (Permission denied)" in more.stderr


@pytest.mark.fault("a full disk")
def test_a_disk_that_is_full_is_named_and_the_same_command_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsync, path = os.fsync, study(tmp_path, 8) / records.FILE

    def full(file: int) -> None:
        if records.FILE in os.readlink(f"/proc/self/fd/{file}"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(file)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        done = dps(tmp_path, *SMALL, "optimizer.lr=0.02")
    assert done.code == 1 and done.stderr.startswith(f"dps: {path} cannot be written (No space left on device): ")
    assert done.stderr.count("\n") == 1 and not path.exists() and not list(tmp_path.rglob("*.tmp"))
    assert dps(tmp_path, *SMALL, "optimizer.lr=0.02").code == 0
    assert rows(path.parent)["lr"].tolist() == [0.02]
