"""A sweep that is killed again and again, and ends with the record of one that never was."""

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
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
    # Which starts all jobs at once, so that these are two studies of one each, and of ten trials.
    "submitit_local": [
        *(*SWEEP, "batch_size=8", "hydra.sweeper.trials=10"),
        *("hydra/launcher=submitit_local", "hydra.launcher.timeout_min=5"),
    ],
    "two ranks": [*SWEEP, "trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2"],
}
PLUGINS = {"joblib": "hydra_plugins.hydra_joblib_launcher", "submitit_local": "hydra_plugins.hydra_submitit_launcher"}
CODES = {signal.SIGKILL: -signal.SIGKILL, signal.SIGTERM: 143, signal.SIGINT: 130, signal.SIGUSR1: 143}


def start(folder: Path, typed: list[str]) -> subprocess.Popen[bytes]:
    temporary(folder).mkdir(exist_ok=True)
    own = {**os.environ, "OMP_NUM_THREADS": "1", "DPS_CACHE": CACHE.name, "TMPDIR": str(temporary(folder))}
    with (folder / "printed").open("ab") as printed:
        command = [sys.executable, "-m", "dps.main", *typed]
        return subprocess.Popen(command, cwd=folder, env=own, stdout=printed, stderr=printed, start_new_session=True)


def temporary(folder: Path) -> Path:
    """Where the commands that run in a folder put what is to last no longer than they."""
    return folder.with_name(f"{folder.name} temporary")


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
    moments, started, folders = random.Random(f"{launcher} {sent}"), list[int](), (f"sweep {n}" for n in count())
    folder, codes = place(tmp_path, next(folders)), dict[int, int]()
    record_property("exit codes", codes)  # which fills up, and so is known of a test that fails too
    while sum(codes.values()) < KILLS:
        running, moment = start(folder, LAUNCHERS[launcher]), moments.uniform(0.3, seconds)
        started.append(running.pid)
        try:
            assert running.wait(moment) == 0, (folder / "printed").read_text()
        except subprocess.TimeoutExpired:
            (os.killpg if sent == signal.SIGINT else os.kill)(running.pid, sent)  # Ctrl-C goes to all of a terminal's
            code = running.wait(15)
            codes[code] = codes.get(code, 0) + 1
            assert has_ended(running.pid, 30), alive(running.pid)  # a job that was about to start imports all first
            # 0: it had just ended; -sent: Python itself was still starting
            assert code in {CODES[sent], 0} or (code == -sent and moment < 2), (folder / "printed").read_text()
        else:  # it has gone on to its end before the next kill, which meets a new one
            assert_whole(folder, expected)
            folder = place(tmp_path, next(folders))
    assert start(folder, LAUNCHERS[launcher]).wait(600) == 0
    assert_whole(folder, expected)
    assert not shared(started)


def shared(processes: list[int]) -> list[str]:
    """What joblib has left of these processes in the memory that processes share: it names each by its number."""
    names = [path.name for path in Path("/dev/shm").glob("*") if re.match("joblib|sem.loky|loky", path.name)]
    return [name for name in names if set(re.findall(r"\d+", name)) & set(map(str, processes))]


def assert_whole(folder: Path, expected: pd.DataFrame) -> None:
    """The sweep has the record of one that was never killed, leaves no litter, and dps has shown no traceback."""
    pd.testing.assert_frame_equal(records(folder), expected)
    assert not [path for path in folder.rglob("*") if path.suffix in (".tmp", ".ckpt", ".part")]
    assert not [path for path in temporary(folder).rglob("*") if not path.name.startswith("torchinductor_")]
    printed = (folder / "printed").read_text()
    # Ctrl-C also reaches the processes from which submitit's local launcher watches its jobs.
    assert "Traceback" not in printed or ("submitit" in printed and PACKAGE not in printed)


STUDY = [
    *("trial=[0,1,2,3]", "optimizer.lr=[1e9,0.02,0.002,1e-6]", "race=false"),
    *("batch_size=8", "sparsity=0.5", "max_steps=36", *SMALL),
]
# Types the command, kills itself before or after one call of a function, and else counts the calls of each.
KILLED = """
import json, os, signal, sys
from collections import Counter
from dps import main
from dps.storage import records

_, point, *sys.argv[1:] = sys.argv
point, calls = json.loads(point), Counter()

def watch(owner, name):
    original = getattr(owner, name)

    def watched(*arguments, **options):
        calls[name] += 1
        number = calls[name]
        kill_at([name, number, "before"])
        try:
            return original(*arguments, **options)
        finally:  # unlink raises where there is no such file
            kill_at([name, number, "after"])

    setattr(owner, name, watched)

def kill_at(here):
    if here == point:
        os.kill(os.getpid(), signal.SIGKILL)

for owner, name in ((os, "replace"), (os, "fsync"), (os, "unlink"), (records, "merge")):
    watch(owner, name)
main.main()
print(json.dumps(calls), file=sys.stderr)
"""
Calls = dict[str, int]


def killed(folder: Path, name: str, call: int, when: str) -> subprocess.CompletedProcess[str]:
    """The study's command, with a cache of its own, once it has killed itself there; with call 0 it does not."""
    own = {**os.environ, "OMP_NUM_THREADS": "1", "DPS_CACHE": str(folder / "cache")}
    command = [sys.executable, "-c", KILLED, json.dumps([name, call, when]), *STUDY]
    return subprocess.run(command, cwd=folder, env=own, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[pd.DataFrame, Calls]:
    """The study's record when nothing happens, and how often it calls each of the functions."""
    folder = tmp_path_factory.mktemp("whole")
    done = killed(folder, "none", 0, "before")
    assert done.returncode == 0, done.stderr
    return rows(study(folder, 8, "0.5")), json.loads(done.stderr.splitlines()[-1])


# Each write is one of os.fsync, each checkpoint but the first two of os.replace, each trial's end one of merge.
POINTS = [
    *(("replace", call) for call in (*range(1, 13), 30, 31, -3, -2, -1)),
    *(("fsync", call) for call in (1, 2, 5, 9, 10, 20, -2, -1)),
    *(("merge", call) for call in (1, 2, 3, -1)),
    *(("unlink", call) for call in (-3, -2, -1)),
]


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(("name", "call"), POINTS)
@pytest.mark.fault("a study, killed before or after one write, rename, removal or record")
def test_a_study_that_is_killed_at_a_write(
    tmp_path: Path, whole: tuple[pd.DataFrame, Calls], name: str, call: int, when: str
) -> None:
    """A negative call counts from the last one of a study that is not disturbed."""
    expected, calls = whole
    done = killed(tmp_path, name, call if call > 0 else calls[name] + 1 + call, when)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert dps(tmp_path, *STUDY, cache=str(tmp_path / "cache")).code == 0
    pd.testing.assert_frame_equal(rows(study(tmp_path, 8, "0.5")), expected)
    assert not [path for path in tmp_path.rglob("*") if path.suffix in (".tmp", ".ckpt")]
