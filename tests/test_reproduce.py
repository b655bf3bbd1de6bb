"""The command dps-reproduce, from what is typed to what it trains and says."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pandas as pd
import pytest
import torch
import yaml
from command import CACHE, Done, contents, dps, here, rows, study

from dps.engine import devices, fit
from dps.reproduce import main, reproduction
from dps.reproduce.plan import plan
from dps.stack.shape import FILE
from dps.storage import configurations, environments, records

STACK = ["stack.trials_per_slice=2", "stack.examples_per_pass=8", "stack.products=false"]  # else measured
SMALL = ["batch_size=8", "sparsity=0.5", "goal.error=0.3", "goal.interval_steps=4", "max_steps=36", *STACK]
LISTED = ["trial=[0,1,2]", "optimizer.lr=[0.01,0.001,0.003]", "optimizer.momentum=[0.99,0.98,0.99]"]


def reproduce(*typed: object) -> Done:
    """Run the command in this process, on a wide terminal."""
    with mock.patch.dict(os.environ, COLUMNS="200"):
        return here(main.main, "dps-reproduce", *typed)


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a study, that nobody changes."""
    folder = tmp_path_factory.mktemp("searched")
    assert dps(folder, *SMALL, *LISTED).code == 0
    return study(folder, 8, "0.5")


@pytest.fixture(scope="module")
def trained(searched: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that it was trained again in; nobody changes it."""
    output = tmp_path_factory.mktemp("trained")
    before = contents(searched)
    done = reproduce(searched.parent, "--output", output)
    assert (done.code, done.stderr) == (0, "")
    line, *table = done.stdout.splitlines()
    assert line.startswith("1 of 1  batch_size=8, sparsity=0.5: same, ")
    assert table[-2:] == ["Environment: as recorded.", "1 of 1 study agrees with the record: 1 same."]
    assert contents(searched) == before
    return output


@pytest.fixture
def copy(searched: Path, tmp_path: Path) -> Path:
    """The study's folder, in a copy of one's own."""
    return Path(shutil.copytree(searched, tmp_path / searched.parent.name / searched.name))


@pytest.fixture
def no_training(monkeypatch: pytest.MonkeyPatch) -> None:
    def train(study: object) -> None:
        pytest.fail("something is trained")

    monkeypatch.setattr(fit, "fit", train)


def test_what_is_trained_lies_in_a_folder_as_of_any_study(searched: Path, trained: Path) -> None:
    mine = trained / searched.parent.name / searched.name
    pd.testing.assert_frame_equal(rows(mine), rows(searched))
    there, here = (configurations.read(path) for path in (searched, mine))
    assert there is not None and here is not None and here["logger"] is None
    assert {key for key in there if there[key] != here[key]} == {"folder", "logger"}
    assert not list(mine.glob("*.ckpt"))


@pytest.mark.usefixtures("no_training")
def test_the_same_command_again_trains_nothing(searched: Path, trained: Path) -> None:
    done = reproduce(searched, "--output", trained)
    assert done.code == 0 and done.stdout.startswith("1 of 1  batch_size=8, sparsity=0.5: same, finished before")


def changed(folder: Path, **values: float) -> None:
    """Change the row of the trial that has reached the goal."""
    best = records.best(records.read(folder))
    assert best is not None
    records.merge(folder, [best.to_dict() | values])


def other_torch(folder: Path) -> None:
    (one,) = environments.read(folder)
    (folder / environments.FILE).write_text(yaml.safe_dump([{**one, "torch": "0.1"}], sort_keys=False))


def other_slices(folder: Path) -> None:
    (folder / FILE).write_text("trials_per_slice: 1\nexamples_per_pass: 8\n")


def later(folder: Path) -> None:
    changed(folder, steps_to_result=36, steps_run=36)


@pytest.mark.usefixtures("no_training")
@pytest.mark.parametrize(
    ("changes", "code", "said"),
    [
        (
            [lambda path: changed(path, test_error=0.5)],
            0,
            ["same K*", "1 of 3 trials end otherwise"],
        ),
        ([later], 1, ["differs", "on the same software", "0 of 1 study agrees with the record"]),
        ([later, other_slices], 1, ["cannot tell", "Environment: trials_per_slice 1 -> 2."]),
        ([later, other_torch], 1, ["cannot tell", "one replicate has no interval", "Environment: torch 0.1 -> "]),
    ],
    ids=["another error", "another K*", "another K* in other slices", "another K* elsewhere"],
)
def test_a_changed_row_is_found(
    copy: Path, trained: Path, changes: list[Callable[[Path], None]], code: int, said: list[str]
) -> None:
    for change in changes:
        change(copy)
    done = reproduce(copy, "--output", trained)
    assert (done.code, done.stderr) == (code, "")
    assert all(what in done.stdout for what in said), done.stdout


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["goal.error=0.1"], "goal.error is not an option here, for a study is trained again as it was: data.root"),
        (["trainer.precision=64-true"], "trainer.precision is not an option here"),
        (["data.root=x"], "data.root is not an option of this study"),
        (["trainer.devices=0"], "trainer.devices=0 must be a positive integer"),
        (["elsewhere"], f"{Path.cwd() / 'elsewhere'} is not a folder; give the folder of a sweep or of a study"),
        (["--config-dir", "elsewhere"], "--config-dir=elsewhere must be a folder"),
    ],
    ids=str,
)
@pytest.mark.usefixtures("no_training")
def test_wrong_options_are_refused(searched: Path, tmp_path: Path, typed: list[str], said: str) -> None:
    done = reproduce(searched, "--output", tmp_path, *typed)
    assert done.code == 1 and done.stderr.startswith(f"dps-reproduce: {said}") and len(done.stderr.splitlines()) == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("no_training")
def test_without_a_folder_nothing_can_be_trained() -> None:
    assert reproduce("data.root=x").stderr.startswith("dps-reproduce: data.root=x is no folder: give that of a study")


@pytest.mark.usefixtures("no_training")
def test_a_study_that_runs_is_refused(copy: Path, tmp_path: Path) -> None:
    table = copy / records.FILE
    table.write_text("".join(table.read_text().splitlines(keepends=True)[:-1]))
    done = reproduce(copy, "--output", tmp_path / "own")
    assert done.code == 1 and f"{copy} is still running or was stopped, with 2 of its 3" in done.stderr


@pytest.mark.usefixtures("no_training")
def test_a_folder_with_another_study_in_it_is_refused(searched: Path, copy: Path, tmp_path: Path) -> None:
    config = copy / configurations.FILE
    config.write_text(config.read_text().replace("seed_data: 0", "seed_data: 1"))
    before = contents(tmp_path)
    done = reproduce(searched, "--output", tmp_path)
    assert done.code == 1 and done.stderr.startswith(f"dps-reproduce: {copy} holds results of another configuration (")
    assert "seed_data is 1 there and 0 here" in done.stderr and "--output" in done.stderr
    assert contents(tmp_path) == before


@pytest.mark.usefixtures("no_training")
def test_what_was_trained_again_is_no_record(searched: Path, trained: Path) -> None:
    done = reproduce(trained, "--output", trained)
    assert done.code == 1 and done.stderr.startswith(f"dps-reproduce: {trained} lies in {trained}, which holds what is")


@pytest.mark.usefixtures("no_training")
def test_two_studies_that_would_be_one_are_refused(searched: Path, copy: Path, tmp_path: Path) -> None:
    done = reproduce(searched, copy, "--output", tmp_path / "own")
    assert done.code == 1 and f"{searched} and {copy} would both be trained in {tmp_path / 'own'}/" in done.stderr


def test_the_slices_are_those_recorded_but_on_another_device(searched: Path, copy: Path, tmp_path: Path) -> None:
    config = copy / configurations.FILE
    first = config.read_text().replace("trials_per_slice: 2", "trials_per_slice: null")
    config.write_text(first.replace("examples_per_pass: 8", "examples_per_pass: 16"))  # as typed at a first start
    (own,), (typed,), (gpu,) = (
        plan([copy], tmp_path / "own", overrides)
        for overrides in ([], ["stack.examples_per_pass=4"], ["trainer.accelerator=gpu"])
    )
    assert own.study.cfg.stack == {"trials_per_slice": 2, "examples_per_pass": 8, "products": False}
    assert typed.study.cfg.stack == {"trials_per_slice": 2, "examples_per_pass": 4, "products": False}
    assert gpu.study.cfg.stack.trials_per_slice is None


@pytest.mark.slow
def test_a_replicate_in_a_process_of_its_own(tmp_path: Path) -> None:
    """With as many threads as the record has, and the interval that all replicates give."""
    assert dps(tmp_path, "-m", *SMALL, "hydra.sweeper.trials=3", "hydra.sweeper.replicates=2").code == 0
    recorded, mine = (path / "replicate=1" for path in (study(tmp_path, 8, "0.5"), study(tmp_path / "own", 8, "0.5")))
    command = [sys.executable, "-m", "dps.reproduce.main", str(recorded), "--output", str(mine.parents[2])]
    own = {**os.environ, "OMP_NUM_THREADS": "2", "DPS_CACHE": CACHE.name}
    done = subprocess.run(command, env=own, capture_output=True, text=True, timeout=240, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done
    pd.testing.assert_frame_equal(rows(mine), rows(recorded))
    assert [one["threads"] for one in environments.read(mine)] == [1]
    later(recorded)
    done = subprocess.run(command, env=own, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 1 and done.stdout.endswith("agrees with the record: 1 differs.\n")
    other_torch(recorded)
    assert "within interval" in reproduce(recorded, "--output", mine.parents[2]).stdout


def test_the_threads_of_one_study_are_not_those_of_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    trained: list[tuple[int, str | None]] = []
    monkeypatch.setattr(devices, "cores", lambda: 4)
    monkeypatch.setattr(
        reproduction, "run", lambda *_: trained.append((torch.get_num_threads(), os.environ.get("OMP_NUM_THREADS")))
    )
    own = torch.get_num_threads(), os.environ.get("OMP_NUM_THREADS")
    for recorded in ([{"threads": 3}], [{"threads": 5}], []):
        folder: Any = SimpleNamespace(environments=recorded)
        study: Any = None
        reproduction.Reproduction(folder, [], study).train([])
    assert trained == [(3, "3"), own, own]
