"""The command `dps` as tests type it: in this process, which is quick, or in one of its own."""

import contextlib
import io
import logging
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import pandas as pd

from dps import errors, main
from dps.storage import records

CACHE = tempfile.TemporaryDirectory(prefix="dps-cache-")  # what one test has measured or scored, others need not
SECONDS = ["train_seconds", "evaluate_seconds"]


@dataclass
class Done:
    """What a command that has ended left behind."""

    code: int
    stdout: str
    stderr: str


def dps(folder: Path, *arguments: str, cache: str = CACHE.name) -> Done:
    """Run the command in `folder` within this process, and leave the process as it was."""
    stdout, stderr = io.StringIO(), io.StringIO()
    handlers, level = logging.root.handlers[:], logging.root.level
    with (
        mock.patch.object(sys, "argv", ["dps", *arguments]),
        mock.patch.dict(os.environ, DPS_CACHE=cache),
        mock.patch.object(errors, "SHOW_TRACEBACK", False),
        mock.patch.object(sys, "path", sys.path[:]),  # which --config-dir adds to
        contextlib.chdir(folder),
        contextlib.redirect_stdout(stdout),
        contextlib.redirect_stderr(stderr),
    ):
        code = _exit_code(main.main)
    for handler in logging.root.handlers:
        if handler not in handlers:
            handler.close()
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)
    return Done(code, stdout.getvalue(), stderr.getvalue())


def here(command: Callable[[], None], *typed: object) -> Done:
    """Run another command, by its `main` and all that is typed, its name first, within this process."""
    stdout, stderr = io.StringIO(), io.StringIO()
    with (
        mock.patch.object(sys, "argv", [*map(str, typed)]),
        mock.patch.dict(os.environ, DPS_CACHE=CACHE.name),
        mock.patch.object(errors, "SHOW_TRACEBACK", False),
        contextlib.redirect_stdout(stdout),
        contextlib.redirect_stderr(stderr),
    ):
        code = _exit_code(command)
    return Done(code, stdout.getvalue(), stderr.getvalue())


def _exit_code(command: Callable[[], None]) -> int:
    try:
        command()
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
            return 1
        return end.code or 0
    return 0


def process(folder: Path, *arguments: str, env: Mapping[str, str] | None = None, seconds: float = 300) -> Done:
    """Run the command in `folder` in a process of its own, which is ended with all of its own after `seconds`."""
    command = [sys.executable, "-m", "dps.main", *arguments]
    pipe = subprocess.PIPE
    every = {**os.environ, "OMP_NUM_THREADS": "1", "DPS_CACHE": CACHE.name, **(env or {})}
    with subprocess.Popen(
        command, cwd=folder, env=every, stdout=pipe, stderr=pipe, text=True, start_new_session=True
    ) as running:
        try:
            stdout, stderr = running.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(running.pid, signal.SIGTERM)
            raise
    return Done(running.returncode, stdout, stderr)


def place(folder: Path, name: str) -> Path:
    """A new folder of this name, to run the command in."""
    (folder / name).mkdir()
    return folder / name


def study(folder: Path, batch_size: int = 16, sparsity: str = "0") -> Path:
    """The study's folder, where the command was run in `folder` on the default workload."""
    return folder / "outputs" / "digits_simple_cnn_momentum" / f"batch_size={batch_size},sparsity={sparsity}"


def rows(folder: Path) -> pd.DataFrame:
    """The recorded trials of a study, without the seconds, which no two runs share."""
    return records.read(folder).drop(columns=SECONDS).set_index("trial")


def contents(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Time of change and content of every file below the folder, but the log."""
    return {
        str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.read_bytes())
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "dps.log"
    }
