"""A sweep on a disk of its own, a tmpfs, that gets full or read only."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from command import place, process, rows, study

pytestmark = [pytest.mark.slow]

# The shape of the stack would else be measured, and not the same in two folders.
SWEEP = [
    *("-m", "batch_size=8,16", "hydra.sweeper.trials=3", "goal.error=0.3", "goal.interval_steps=4", "max_steps=16"),
    *("stack.trials_per_slice=2", "stack.examples_per_pass=8", "stack.products=false", "race=false"),
    "bookkeeping.checkpoint.every_seconds=0",
]


def mount(disk: Path, options: str) -> None:
    """A tmpfs there with these options, or those of the one that is there."""
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(disk)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"needs the right to mount a tmpfs: {done.stderr.strip()}")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A folder for a tmpfs, which is taken away at the end."""
    if os.geteuid() or shutil.which("mount") is None:
        pytest.skip("needs root, to mount a tmpfs")
    folder = place(tmp_path, "disk")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], capture_output=True, check=False)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """The rows of the sweep on a disk with room."""
    folder = tmp_path_factory.mktemp("undisturbed")
    assert process(folder, *SWEEP, seconds=300).code == 0
    return records(folder)


def records(folder: Path) -> pd.DataFrame:
    return pd.concat({batch_size: rows(study(folder, batch_size)) for batch_size in (8, 16)})


@pytest.mark.parametrize("kibibytes", [16, 64, 200, 400])
@pytest.mark.fault("a disk that gets full")
def test_a_sweep_on_a_disk_that_gets_full_goes_on_once_there_is_room(
    disk: Path, undisturbed: pd.DataFrame, kibibytes: int
) -> None:
    mount(disk, f"size={kibibytes}k")
    done = process(disk, *SWEEP, seconds=300)
    assert done.code == 1 and done.stderr.startswith("dps: ") and done.stderr.count("\n") == 1, done
    assert "No space left on device" in done.stderr and str(disk) in done.stderr, done
    mount(disk, "remount,size=8m")
    done = process(disk, *SWEEP, seconds=300)
    assert done.code == 0, done
    pd.testing.assert_frame_equal(records(disk), undisturbed)
    assert not [path for path in disk.rglob("*") if path.suffix in (".tmp", ".ckpt")]


@pytest.mark.fault("a disk that becomes read only")
def test_a_finished_sweep_is_shown_on_a_disk_that_is_read_only(disk: Path, undisturbed: pd.DataFrame) -> None:
    mount(disk, "size=8m")
    assert process(disk, *SWEEP, seconds=300).code == 0
    mount(disk, "remount,ro")
    shown = process(disk, *SWEEP, seconds=300)
    assert (shown.code, shown.stderr) == (0, "") and "batch size" in shown.stdout
    more = process(disk, *SWEEP, "hydra.sweeper.trials=4", seconds=300)
    assert more.code == 1 and more.stderr.count("\n") == 1 and "Read-only file system" in more.stderr
    pd.testing.assert_frame_equal(records(disk), undisturbed)
