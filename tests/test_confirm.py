"""The command dps-confirm, from what is typed to what lies in the folder."""

import math
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from command import CACHE, Done, contents, dps, here, rows, study

from dps.analysis.columns import STUDY
from dps.analysis.confirmed import confirmed
from dps.analysis.results import gather
from dps.confirm import main
from dps.confirm.plan import plan
from dps.engine import fit
from dps.engine.options import FIRST_FRESH
from dps.storage import confirmations, records

# else measured, and not the same in two folders
STACK = ["stack.trials_per_slice=2", "stack.examples_per_pass=8", "stack.products=false"]
SMALL = ["batch_size=8", "sparsity=0.5", "goal.error=0.3", "goal.interval_steps=4", "max_steps=36", *STACK]
SEARCH = ["-m", *SMALL, "hydra.sweeper.trials=4", "bookkeeping.checkpoint.every_seconds=0", "callbacks=[curves,goal]"]
TYPED = ["--configurations", "3", "--seeds", "6"]
# Types the command, and a SIGKILL to itself at the start of one of its steps, counted over all runs.
KILLED = """
import os, signal, sys
from dps.confirm import main
from dps.engine.module import StudyTask

left, training_step = [int(sys.argv.pop(1))], StudyTask.training_step

def killed(task, *arguments):
    left[0] -= 1
    if left[0] == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return training_step(task, *arguments)

StudyTask.training_step = killed
main.main()
"""


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which a study of four trials has been run, that nobody changes."""
    folder = tmp_path_factory.mktemp("searched")
    assert dps(folder, *SEARCH).code == 0
    return folder


@pytest.fixture
def folder(searched: Path, tmp_path: Path) -> Path:
    """The study's folder, in a copy of one's own."""
    shutil.copytree(searched, tmp_path / "own")
    return study(tmp_path / "own", 8, "0.5")


def confirm(*typed: object) -> Done:
    """Run the command in this process."""
    return here(main.main, "dps-confirm", *typed)


@pytest.fixture(scope="module")
def whole(searched: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The study as it is once it has been confirmed, in one process and without a stop; nobody changes it."""
    copy = tmp_path_factory.mktemp("whole") / "own"
    shutil.copytree(searched, copy)
    done = confirm(study(copy, 8, "0.5"), *TYPED)
    first, *others = done.stderr.splitlines()
    assert done.code == 0 and first == "dps-confirm: after 0.0 s: seed 1 of 6"
    for number, line in enumerate(others, start=2):
        assert re.fullmatch(rf"dps-confirm: after \d+\.\d s: seed {number} of 6, about \d+ s left", line)
    assert len(others) == 5
    assert done.stdout.startswith("digits_simple_cnn_momentum: ")  # the table, and no progress of Lightning's
    return study(copy, 8, "0.5")


def refuse_to_train(monkeypatch: pytest.MonkeyPatch) -> None:
    def train(study: object) -> None:
        pytest.fail("something is trained")

    monkeypatch.setattr(fit, "fit", train)


def test_what_lies_in_the_folder(whole: Path) -> None:
    found = confirmations.read(whole)
    assert found is not None and len(found) == 3
    search = rows(whole)
    ordered = search.assign(order=search["status"].map({"complete": 0, "censored": 1, "incomplete": 2})).dropna(
        subset="order"
    )
    best = ordered.sort_values(["order", "steps_to_result", "validation_error"]).index[:3]
    assert found["trial"].tolist() == list(best) and found["lr"].tolist() == search["lr"][best].tolist()
    assert set(found["seeds"]) == {6} and set(found["max_steps"]) == {36}
    runs = [rows(confirmations.run_folder(whole, seed)) for seed in range(6)]
    for number, row in found.iterrows():
        trials = [run.loc[number] for run in runs]
        assert [trial["lr"] for trial in trials] == [row["lr"]] * 6
        assert row["arrived"] == sum(trial["status"] == "complete" for trial in trials)
        steps = sorted(36 * 2 if pd.isna(trial["steps_to_result"]) else trial["steps_to_result"] for trial in trials)
        assert (36 * 2 if pd.isna(row["median_steps"]) else row["median_steps"]) == steps[2]
    for seed, run in enumerate(runs):
        assert set(run["replicate"]) == {FIRST_FRESH + seed} and run["seed"].nunique() == 1
        assert not (run["status"] == "censored").any()
    assert len({run["seed"][0] for run in runs}) == 6
    left = {path.name for path in confirmations.run_folder(whole, 0).iterdir()}
    assert left == {".hydra", ".trials.lock", "trials.csv"}  # no curves, no logs, no checkpoint


def test_a_run_is_that_of_a_plain_command(whole: Path, tmp_path: Path) -> None:
    found = confirmations.read(whole)
    assert found is not None
    for seed, number in ((0, 0), (4, 1)):
        row = found.iloc[number]
        typed = [f"optimizer.lr={float(row['lr'])!r}", f"optimizer.momentum={float(row['momentum'])!r}", "seed=0"]
        typed += [f"trial={number}", f"replicate={FIRST_FRESH + seed}", "race=false"]
        (tmp_path / str(seed)).mkdir()
        assert dps(tmp_path / str(seed), *SMALL, *typed).code == 0
        alone = rows(study(tmp_path / str(seed), 8, "0.5"))
        pd.testing.assert_frame_equal(alone, rows(confirmations.run_folder(whole, seed)).loc[[number]])


@pytest.mark.slow
@pytest.mark.fault("dps-confirm, killed")
def test_a_killed_command_goes_on_with_the_same_result(searched: Path, whole: Path, tmp_path: Path) -> None:
    shutil.copytree(searched, tmp_path / "own")
    folder = study(tmp_path / "own", 8, "0.5")
    lengths = [rows(confirmations.run_folder(whole, seed))["steps_run"].max() for seed in range(6)]
    middle = sum(lengths[:2]) + lengths[2] - 2
    own = {**os.environ, "OMP_NUM_THREADS": "1", "DPS_CACHE": CACHE.name}  # rounding depends on the number of threads
    command = [sys.executable, "-c", KILLED, str(middle), str(folder), *TYPED]
    done = subprocess.run(command, env=own, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    before = confirmations.read(folder)
    assert before is not None and set(before["seeds"]) == {2}  # readable at any time, of whole seeds alone
    assert len(list(folder.rglob("*[!e].ckpt"))) == 1  # and the one before
    assert confirm(folder, *TYPED).code == 0
    assert (folder / "confirm.csv").read_bytes() == (whole / "confirm.csv").read_bytes()
    for seed in range(6):
        mine, other = (confirmations.run_folder(path, seed) for path in (folder, whole))
        pd.testing.assert_frame_equal(rows(mine), rows(other))
    assert not list(folder.rglob("*.ckpt"))


@pytest.mark.slow
@pytest.mark.fault("two dps-confirm on one folder")
def test_two_commands_at_once_share_the_work(folder: Path, whole: Path) -> None:
    command = [sys.executable, "-m", "dps.confirm.main", str(folder), *TYPED]
    own = {**os.environ, "OMP_NUM_THREADS": "1", "DPS_CACHE": CACHE.name}
    both = [subprocess.Popen(command, env=own, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    tables = [one.communicate(timeout=240)[0] for one in both]
    assert [one.returncode for one in both] == [0, 0] and tables[0] == tables[1]
    assert (folder / "confirm.csv").read_bytes() == (whole / "confirm.csv").read_bytes()


def test_the_same_command_again_trains_nothing_and_shows_the_table(
    whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_to_train(monkeypatch)
    before = {name: content for name, (_, content) in contents(whole).items()}
    done = confirm(whole, *TYPED)
    assert (done.code, done.stderr) == (0, "")
    row, k_star = confirmed(whole), int(rows(whole)["steps_to_result"].min())
    assert row is not None
    cells = [cell.strip() for line in done.stdout.splitlines() for cell in line.split("│")]
    arrived = f"{row['arrived']} of 6"
    assert {"50% sparse", str(k_star), str(row["median_steps"]), arrived, f"trial {row['trial']}"} <= set(cells)
    assert {name: content for name, (_, content) in contents(whole).items()} == before


def test_a_report_takes_no_fresh_seed_for_a_study(whole: Path) -> None:
    results = gather([whole])
    assert len(results.studies) == 1
    found = results.confirmations
    assert len(found) == 3 and found.columns[:5].tolist() == list(STUDY) and set(found["batch_size"]) == {8}
    pd.testing.assert_frame_equal(found.drop(columns=list(STUDY)), confirmations.read(whole))


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["--seeds", "6", "--configurations", "2"], "--configurations: "),
        ([*TYPED, "--times", "1"], "--times: "),
    ],
)
def test_what_was_confirmed_otherwise_is_refused(
    whole: Path, monkeypatch: pytest.MonkeyPatch, typed: list[str], said: str
) -> None:
    refuse_to_train(monkeypatch)
    done = confirm(whole, *typed)
    assert done.code == 1 and done.stderr.startswith(f"dps-confirm: {said}") and len(done.stderr.splitlines()) == 1
    assert str(whole / "confirm.csv") in done.stderr


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["--configurations", "2"], "--configurations: "),
        (["--configurations", "3", "--times", "1"], "max_steps is 36 there and "),
        (["--configurations", "3", "--seeds", "7"], "trials.csv holds trial 0 with optimizer.lr="),
    ],
    ids=["configurations", "times", "another search"],
)
def test_runs_of_something_else_are_refused_without_their_table_too(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, typed: list[str], said: str
) -> None:
    refuse_to_train(monkeypatch)
    shutil.copytree(whole, copy := tmp_path / whole.name)
    (copy / "confirm.csv").unlink()
    if "--seeds" in typed:
        search = records.read(copy)
        search["lr"] = search["lr"] / 2
        search.to_csv(copy / "trials.csv", index=False)
    done = confirm(copy, *typed)
    assert done.code == 1 and said in done.stderr and len(done.stderr.splitlines()) == 1
    assert done.stderr.endswith(f"remove {copy / 'confirm.csv'} and {copy / 'confirm'}/\n")
    assert not (copy / "confirm.csv").exists()


def test_a_folder_beside_the_seeds_is_left_alone(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse_to_train(monkeypatch)
    shutil.copytree(whole, copy := tmp_path / whole.name)
    (copy / "confirm" / "seed=old").mkdir()
    assert confirm(copy, *TYPED).code == 0


def test_a_folder_that_cannot_be_written_is_named_with_what_to_do(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*paths: Path) -> None:
        raise PermissionError(13, "Permission denied")

    refuse_to_train(monkeypatch)
    monkeypatch.setattr(os, "replace", fail)
    done = confirm(folder, *TYPED)
    assert done.code == 1 and done.stderr.endswith(
        f"cannot be written (Permission denied); copy {folder} to where it can be written\n"
    )


def test_a_search_with_other_best_trials_is_refused(folder: Path, whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse_to_train(monkeypatch)
    there = confirmations.read(whole)
    assert there is not None
    confirmations.write(folder, there.assign(trial=there["trial"][::-1].tolist()))
    done = confirm(folder, *TYPED)
    first, last = there["trial"].iloc[0], there["trial"].iloc[-1]
    assert (
        done.code == 1
        and f"its number 1 is trial {last} of replicate 0 and not trial {first} of replicate 0" in done.stderr
    )


def test_folders_and_options_are_told_apart(folder: Path, whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse_to_train(monkeypatch)
    assert confirm("data.root=x").stderr.startswith("dps-confirm: data.root=x is no folder: give that of a study")
    done = confirm("stack.products=true", whole, *TYPED[2:], whole.parent, *TYPED[:2])  # with nothing to train
    assert (done.code, done.stderr) == (0, "") and done.stdout.count("lr=") == 1
    assert "nowhere is not a folder" in confirm(folder, folder.parent / "nowhere").stderr


@pytest.mark.parametrize(
    ("times", "k_star", "checks"), [(1.1, 800, 55), (1.1, 1440, 99), (2.2, 400, 55), (1.1, 816, 57), (1, 800, 50)]
)
def test_times_is_rounded_up_to_a_check(folder: Path, times: float, k_star: int, checks: int) -> None:
    row = rows(folder).reset_index()
    best = row["steps_to_result"].idxmin()
    frame = records.read(folder)
    frame.loc[best, ["steps_to_result", "steps_run"]] = k_star
    frame.loc[frame["steps_to_result"] != k_star, ["steps_to_result", "status"]] = pd.NA, "incomplete"
    configuration = folder / ".hydra" / "config.yaml"
    text = configuration.read_text().replace("max_steps: 36", "max_steps: 10000")
    configuration.write_text(text.replace("interval_steps: 4\n", "interval_steps: 16\n", 1))
    frame["max_steps"], frame["interval_steps"] = 10000, 16
    frame.to_csv(folder / "trials.csv", index=False)
    (one,) = plan([folder], 1, times, [])
    assert one.max_steps == 16 * checks


@pytest.mark.slow
def test_times_limits_the_runs_to_so_many_times_k_star(folder: Path) -> None:
    k_star = int(rows(folder)["steps_to_result"].min())
    assert k_star * 1.3 < 36
    assert confirm(folder, "--seeds", 6, "--configurations", 1, "--times", 1.2).code == 0
    found = confirmations.read(folder)
    assert found is not None
    limit = found["max_steps"].iloc[0]
    assert limit % 4 == 0 and k_star * 1.2 <= limit < k_star * 1.2 + 4
    steps = [rows(confirmations.run_folder(folder, seed)).loc[0] for seed in range(6)]
    assert all(run["status"] == "complete" or run["steps_run"] == limit for run in steps)


def test_a_study_that_runs_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse_to_train(monkeypatch)
    lines = (folder / "trials.csv").read_text().splitlines(keepends=True)
    (folder / "trials.csv").write_text("".join(lines[:-1]))
    done = confirm(folder)
    assert done.code == 1 and "is still running or was stopped, with 3 of its 4 trials" in done.stderr


def test_without_an_arrived_trial_there_is_nothing_to_confirm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert dps(tmp_path, *SMALL, "max_steps=4", "optimizer.lr=1e-6").code == 0
    refuse_to_train(monkeypatch)
    done = confirm(tmp_path)
    assert done.code == 1 and "no trial of any study reached the goal" in done.stderr


@pytest.mark.slow
def test_replicates_are_one_study(tmp_path: Path) -> None:
    assert dps(tmp_path, *SEARCH[:-3], "hydra.sweeper.trials=2", "hydra.sweeper.replicates=2", "race=false").code == 0
    folder = study(tmp_path, 8, "0.5")
    (one,) = plan([tmp_path / "outputs"], 10, None, [])
    searches = [rows(folder), rows(folder / "replicate=1")]
    assert one.folder == folder and [k for k in one.k_stars if k] == [int(s["steps_to_result"].min()) for s in searches]
    taken = list(zip(*(one.configurations[name] for name in ("replicate", "trial", "lr")), strict=True))
    assert all(searches[replicate]["lr"][trial] == lr for replicate, trial, lr in taken)
    assert set(one.configurations["replicate"]) == {0, 1}
    first, second = (int(search["steps_to_result"].min()) for search in searches)
    (cut,) = plan([tmp_path / "outputs"], 10, 1.1, [])
    assert first != second and cut.max_steps - 4 < 1.1 * math.sqrt(first * second) <= cut.max_steps < 36
    done = confirm(folder / "replicate=1")
    assert done.code == 1 and f"is a replicate of the study {folder}: give the folder of the study" in done.stderr


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["--seeds", "5"], "--seeds=5 must be an integer from 6 on"),
        (["--seeds", "many"], "--seeds=many must be an integer from 6 on"),
        (["--configurations", "0"], "--configurations=0 must be an integer from 1 on"),
        (["--times", "0.5"], "--times=0.5 must be a number from 1 on"),
        (["--times", "nan"], "--times=nan must be a number from 1 on"),
        (["goal.error=0.1"], "goal.error is not an option here, for a study is trained again as it was: data.root"),
        (["trainer.precision=64-true"], "trainer.precision is not an option here"),
        (["data.root=x"], "data.root is not an option of this study"),
        (["stack.products=[1"], "stack.products=[1 does not fit the study in "),
        (["trainer.devices=0"], "trainer.devices=0 must be a positive integer"),
        (["elsewhere"], "elsewhere is not a folder; give the folder of a sweep or of a study"),
    ],
    ids=" ".join,
)
def test_wrong_options_are_refused(folder: Path, monkeypatch: pytest.MonkeyPatch, typed: list[str], said: str) -> None:
    refuse_to_train(monkeypatch)
    before = contents(folder)
    done = confirm(folder, *typed)
    assert done.code == 1 and done.stderr.startswith(f"dps-confirm: {said}") and len(done.stderr.splitlines()) == 1
    assert contents(folder) == before


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    done = confirm(tmp_path / "nowhere")
    assert done.code == 1 and done.stderr.startswith(f"dps-confirm: {tmp_path / 'nowhere'} is not a folder")
