"""A sweep that is killed again and again, and ends with the record of one that never was."""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from importlib.util import find_spec
from itertools import count
from pathlib import Path

import pandas as pd
import pytest
from command import CACHE, dps, place, rows, study

pytestmark = [pytest.mark.slow]

PACKAGE = str(Path(__file__).parents[1] / "dps")
KILLS = int(os.environ.get("DPS_KILLS", "20"))  # of each sweep
# The shape of the stack would else be measured, and not the same in two folders.
SMALL = [
    *("goal.error=0.3", "goal.interval_steps=4", "stack.trials_per_slice=2", "stack.examples_per_pass=8"),
    *("stack.products=false", "bookkeeping.checkpoint.every_seconds=0"),
]
SWEEP = ["-m", "batch_size=8,16", "sparsity=0,0.5", "hydra.sweeper.trials=5", "max_steps=32", *SMALL]  # four studies
# Without a race, in which the steps of a trial that is cut short depend on which job is first.
SHARES = ["hydra.sweeper.trials_per_job=3", "race=false"]
LAUNCHERS = {
    "one process": SWEEP,
    "joblib": [*SWEEP, *SHARES, "hydra/launcher=joblib", "hydra.launcher.n_jobs=2"],
    # Which starts all jobs at once, so that these are two studies of one each.
    "submitit_local": [*SWEEP, "batch_size=8", "hydra/launcher=submitit_local", "hydra.launcher.timeout_min=5"],
    "two ranks": [*SWEEP, "trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2"],
}
PLUGINS = {"joblib": "hydra_plugins.hydra_joblib_launcher", "submitit_local": "hydra_plugins.hydra_submitit_launcher"}
CODES = {signal.SIGKILL: -signal.SIGKILL, signal.SIGTERM: 143, signal.SIGINT: 130, signal.SIGUSR1: 143}


def start(folder: Path, typed: list[str]) -> subprocess.Popen[bytes]:
    own = {**os.environ, "OMP_NUM_THREADS": "1", "DPS_CACHE": CACHE.name}
    with (folder / "printed").open("ab") as printed:
        command = [sys.executable, "-m", "dps.main", *typed]
        return subprocess.Popen(command, cwd=folder, env=own, stdout=printed, stderr=printed, start_new_session=True)


def records(folder: Path) -> pd.DataFrame:
    studies = sorted(path.parent for path in folder.rglob("trials.csv"))
    return pd.concat({path.name: rows(path) for path in studies})


def alive(session: int) -> list[str]:
    """The processes of a session that have not ended: those of launchers too."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, fields = path.read_text().rpartition(")")
        except OSError:
            continue
        state, _, _, its_session, *_ = fields.split()
        if int(its_session) == session and state != "Z":
            found.append(name)
    return found


def has_ended(session: int, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while alive(session) and time.monotonic() < end:
        time.sleep(0.05)
    return not alive(session)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[pd.DataFrame, float]]:
    """What a launcher's sweep records when nothing happens, and the seconds it takes."""
    known: dict[str, tuple[pd.DataFrame, float]] = {}

    def run(launcher: str) -> tuple[pd.DataFrame, float]:
        if launcher not in known:
            folder, begin = tmp_path_factory.mktemp("undisturbed"), time.monotonic()
            assert start(folder, LAUNCHERS[launcher]).wait(600) == 0, (folder / "printed").read_text()
            known[launcher] = records(folder), time.monotonic() - begin
        return known[launcher]

    return run


@pytest.mark.parametrize("sent", list(CODES), ids=lambda sent: sent.name)
@pytest.mark.parametrize("launcher", LAUNCHERS)
@pytest.mark.fault("a sweep of 20 trials, killed at random moments and started again")
def test_a_sweep_that_is_killed_again_and_again(
    tmp_path: Path,
    undisturbed: Callable[[str], tuple[pd.DataFrame, float]],
    record_property: Callable[[str, object], None],
    launcher: str,
    sent: signal.Signals,
) -> None:
    if launcher in PLUGINS and find_spec(PLUGINS[launcher]) is None:
        pytest.skip(f"needs hydra-{launcher.removesuffix('_local')}-launcher")
    expected, seconds = undisturbed(launcher)
    moments, codes, folders = random.Random(f"{launcher} {sent}"), Counter[int](), (f"sweep {n}" for n in count())
    folder = place(tmp_path, next(folders))
    while codes.total() < KILLS:
        running, moment = start(folder, LAUNCHERS[launcher]), moments.uniform(0.3, seconds)
        try:
            assert running.wait(moment) == 0, (folder / "printed").read_text()
        except subprocess.TimeoutExpired:
            (os.killpg if sent == signal.SIGINT else os.kill)(running.pid, sent)  # Ctrl-C goes to all of a terminal's
            code = running.wait(15)
            assert has_ended(running.pid, 30), alive(running.pid)  # a job that was about to start imports all first
            # 0: it had just ended; -sent: Python itself was still starting
            assert code in {CODES[sent], 0} or (code == -sent and moment < 2), (folder / "printed").read_text()
            codes[code] += 1
        else:  # it has gone on to its end before the next kill, which meets a new one
            assert_whole(folder, expected)
            folder = place(tmp_path, next(folders))
    assert start(folder, LAUNCHERS[launcher]).wait(600) == 0
    assert_whole(folder, expected)
    record_property("exit codes", dict(codes))


def assert_whole(folder: Path, expected: pd.DataFrame) -> None:
    """The sweep has the record of one that was never killed, leaves no litter, and dps has shown no traceback."""
    pd.testing.assert_frame_equal(records(folder), expected)
    assert not [path for path in folder.rglob("*") if path.suffix in (".tmp", ".ckpt", ".part")]
    printed = (folder / "printed").read_text()
    # Ctrl-C also reaches the processes from which submitit's local launcher watches its jobs.
    assert "Traceback" not in printed or ("submitit" in printed and PACKAGE not in printed)


STUDY = [
    *("trial=[0,1,2,3]", "optimizer.lr=[1e9,0.02,0.002,1e-6]", "race=false"),
    *("batch_size=8", "sparsity=0.5", "max_steps=36", *SMALL),
]
# Types the command, and kills itself before or after one of the calls of a function.
KILLED = """
import os, signal, sys
from dps import main
from dps.storage import records

_, name, calls, when, *sys.argv[1:] = sys.argv
calls, owner = int(calls), records if name == "merge" else os
original = getattr(owner, name)

def killing(*arguments, **options):
    global calls
    calls -= 1
    if calls == 0 and when == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    answer = original(*arguments, **options)
    if calls == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return answer

setattr(owner, name, killing)
main.main()
"""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """The study's record when nothing happens."""
    folder = tmp_path_factory.mktemp("whole")
    assert dps(folder, *STUDY).code == 0
    return rows(study(folder, 8, "0.5"))


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(
    ("name", "calls"),
    [
        *(("replace", calls) for calls in (1, 2, 3, 4, 5, 6, 7, 30, 31)),
        ("fsync", 9),
        *(("merge", n) for n in (1, 2, 3)),
    ],
)
@pytest.mark.fault("a study, killed before or after one write, rename or record")
def test_a_study_that_is_killed_at_a_write(
    tmp_path: Path, whole: pd.DataFrame, name: str, calls: int, when: str
) -> None:
    own = {**os.environ, "OMP_NUM_THREADS": "1", "DPS_CACHE": CACHE.name}
    command = [sys.executable, "-c", KILLED, name, str(calls), when, *STUDY]
    done = subprocess.run(command, cwd=tmp_path, env=own, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert dps(tmp_path, *STUDY).code == 0
    pd.testing.assert_frame_equal(rows(study(tmp_path, 8, "0.5")), whole)
    assert not [path for path in tmp_path.rglob("*") if path.suffix in (".tmp", ".ckpt")]
