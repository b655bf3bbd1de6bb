"""A study's folder that was copied, damaged, linked or cannot be written, as the commands meet it."""

import errno
import io
import os
import pickle
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from command import Done, contents, dps, place, rows, study

from dps import errors
from dps.confirm.main import main as dps_confirm
from dps.report.main import main as dps_report
from dps.reproduce.main import main as dps_reproduce
from dps.stack import shape
from dps.storage import checkpoints, records, sealed

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


def edited(record: str, column: str, text: str) -> str:
    """A record of one row, with another text in this column."""
    header, row = (line.split(",") for line in record.splitlines())
    row[header.index(column)] = text
    return "".join(",".join(line) + "\n" for line in (header, row))


def test_a_study_has_one_name_however_its_sparsity_is_typed(tmp_path: Path) -> None:
    assert dps(tmp_path, *SMALL, "sparsity=0.0").code == 0
    assert study(tmp_path, 8, "0").is_dir()
    assert "finished before" in dps(tmp_path, *SMALL, "sparsity=0").stdout


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
        (table, edited(row, "validation_error", "7"), "line 2, column validation_error: 7.0 is not in [0, 1]"),
        (table, edited(row, "workload", "mnist"), "line 2, column workload: mnist is not the study's, digits_simple"),
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


@pytest.mark.fault("a damaged or foreign file in a study's folder")
def test_a_damaged_shape_of_the_stack_is_named_before_anything_trains(tmp_path: Path) -> None:
    assert dps(tmp_path, *SMALL, "optimizer.lr=0.02").code == 0
    path, table = (study(tmp_path, 8) / name for name in (shape.FILE, records.FILE))
    whole, row = path.read_text(), table.read_text()
    for text in (whole[: len(whole) // 2], "trials_per_slice: [", "[1, 2]"):
        path.write_text(text)
        for typed in (["trial=1"], ["-m", "sparsity=0,0.5"]):
            done = dps(tmp_path, *typed, *SMALL, "optimizer.lr=0.02")
            assert done.code == 1 and done.stderr.count("\n") == 1, done
            assert f"{path.relative_to(tmp_path)} is damaged: " in done.stderr and "; restore the file" in done.stderr
        assert path.read_text() == text
        assert [one.read_text() for one in tmp_path.rglob(records.FILE)] == [row] and not list(tmp_path.rglob("*.ckpt"))


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


@contextmanager
def full_disk(monkeypatch: pytest.MonkeyPatch, name: str, write: int = 1) -> Iterator[None]:
    """A disk that is full from this write on of a file whose name ends like this."""
    fsync, writes = os.fsync, count(1)

    def full(file: int) -> None:
        if os.readlink(f"/proc/self/fd/{file}").endswith(f"{name}.tmp") and next(writes) >= write:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(file)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        yield


@pytest.mark.fault("a full disk")
def test_a_disk_that_is_full_is_named_and_the_same_command_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = study(tmp_path, 8) / records.FILE
    with full_disk(monkeypatch, records.FILE):
        done = dps(tmp_path, *SMALL, "optimizer.lr=0.02")
    assert done.code == 1 and done.stderr.startswith(f"dps: {path} cannot be written (No space left on device): ")
    assert done.stderr.count("\n") == 1 and not path.exists() and not list(tmp_path.rglob("*.tmp"))
    assert dps(tmp_path, *SMALL, "optimizer.lr=0.02").code == 0
    assert rows(path.parent)["lr"].tolist() == [0.02]


CHECKPOINT = "trials=0-0.ckpt"
# The shape of the stack would else be measured, and not the same in two folders.
SAVED = [
    *(*SMALL, "optimizer.lr=0.02", "bookkeeping.checkpoint.every_seconds=0"),
    *("stack.trials_per_slice=2", "stack.examples_per_pass=8", "stack.products=false"),
]


@pytest.mark.fault("a full disk")
@pytest.mark.slow
def test_a_disk_that_is_full_at_a_checkpoint_leaves_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first_steps: list[int]
) -> None:
    undisturbed = place(tmp_path, "undisturbed")
    assert dps(undisturbed, *SAVED).code == 0
    path = study(tmp_path, 8) / CHECKPOINT
    with full_disk(monkeypatch, CHECKPOINT, write=4):
        done = dps(tmp_path, *SAVED)
    assert done.code == 1 and done.stderr.startswith(f"dps: {path} cannot be written (No space left on device): ")
    assert done.stderr.count("\n") == 1 and path.exists() and not list(tmp_path.rglob("*.tmp"))
    assert dps(tmp_path, *SAVED).code == 0
    assert first_steps == [0, 0, 3]
    pd.testing.assert_frame_equal(rows(path.parent), rows(study(undisturbed, 8)))
    assert not list(tmp_path.rglob("*.ckpt"))


class Planted:
    """What makes a file where a pickle of it is loaded without care."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def of_torch(value: object) -> bytes:
    """It as torch keeps it."""
    file = io.BytesIO()
    torch.save(value, file)
    return file.getvalue()


@pytest.fixture
def unfinished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The checkpoint of a study that a full disk has stopped; there is also the one before."""
    with full_disk(monkeypatch, CHECKPOINT, write=4):
        assert dps(tmp_path, *SAVED).code == 1
    return study(tmp_path, 8) / CHECKPOINT


def replaced(checkpoint: Path, payload: bytes) -> None:
    """Seal the payload in place of the checkpoint, and of the one before."""
    for path in (checkpoint, checkpoints.before(checkpoint)):
        sealed.write(path, payload)


@pytest.mark.fault("a checkpoint that would run code")
def test_a_sealed_checkpoint_runs_no_code(tmp_path: Path, unfinished: Path) -> None:
    file = tmp_path / "planted"
    pickle.loads(pickle.dumps(Planted(file)))
    assert file.exists()
    file.unlink()
    for payload in (of_torch({"state_dict": Planted(file)}), pickle.dumps(Planted(file))):
        replaced(unfinished, payload)
        before = contents(unfinished.parent)
        done = dps(tmp_path, *SAVED)
        assert not file.exists() and contents(unfinished.parent) == before
        assert done.code == 1 and done.stderr.startswith("dps: ") and done.stderr.count("\n") == 1


@pytest.mark.slow
@pytest.mark.fault("a checkpoint that would run code")
@pytest.mark.parametrize("kind", ["code", "no tensors", "empty", "other keys"])
def test_a_sealed_file_that_is_no_checkpoint_is_named(tmp_path: Path, unfinished: Path, kind: str) -> None:
    code = of_torch({"state_dict": Planted(tmp_path / "planted")})
    replaced(unfinished, {"code": code, "no tensors": b"text", "empty": b"", "other keys": of_torch({"a": 1})}[kind])
    done = dps(tmp_path, *SAVED)
    assert done.code == 1 and done.stderr.startswith(f"dps: {unfinished} is damaged") and "remove it" in done.stderr
    assert done.stderr.count("\n") == 1 and "torch" not in done.stderr
