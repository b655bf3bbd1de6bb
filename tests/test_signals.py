"""Signals that ask a process to end."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import pytest

from dps import signals

SENT = [(signal.SIGINT, "Ctrl-C", 130), (signal.SIGTERM, "SIGTERM", 143), (signal.SIGUSR1, "SIGUSR1", 143)]


def stopped(steps: Callable[[], object]) -> signals.Stopped:
    """What the command is ended with while it does the steps."""

    def command() -> None:
        with signals.stopping("dps"):
            steps()

    with pytest.raises(signals.Stopped) as end:
        command()
    return end.value


def send(number: int) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.fault("a signal to a command that trains nothing")
@pytest.mark.parametrize(("number", "name", "code"), SENT)
def test_a_signal_ends_the_command_with_one_line(
    capfd: pytest.CaptureFixture[str], number: signal.Signals, name: str, code: int
) -> None:
    handlers = [signal.getsignal(one) for one, *_ in SENT]
    assert stopped(lambda: send(number)).code == code
    kept = "all that is recorded is kept; the same command goes on"
    assert capfd.readouterr() == ("", f"dps: stopped by {name}: {kept}\n")
    assert [signal.getsignal(one) for one, *_ in SENT] == handlers
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)


def test_the_first_signal_lets_a_step_end_and_the_second_does_not(capfd: pytest.CaptureFixture[str]) -> None:
    def steps() -> None:
        signals.finish_steps()
        assert signals.stop_asked() is None
        send(signal.SIGTERM)
        assert signals.stop_asked() == signal.SIGTERM
        send(signal.SIGINT)
        pytest.fail("it goes on")

    assert stopped(steps).number == signal.SIGINT
    assert capfd.readouterr().err.count("\n") == 1


class Freed:
    """Something that a signal meets while Python frees it."""

    def __del__(self) -> None:
        send(signal.SIGTERM)


def test_a_signal_while_an_object_is_freed_is_not_lost(capfd: pytest.CaptureFixture[str]) -> None:
    hook = sys.unraisablehook

    def steps() -> None:
        Freed()
        time.sleep(5)
        pytest.fail("it goes on")

    begun = time.monotonic()
    assert stopped(steps).number == signal.SIGTERM and time.monotonic() - begun < 2
    assert capfd.readouterr().err.count("\n") == 1 and sys.unraisablehook is hook


def test_what_else_python_throws_away_is_shown(capfd: pytest.CaptureFixture[str]) -> None:
    said = []
    with mock.patch.object(sys, "unraisablehook", lambda unraisable: said.append(unraisable.exc_value)):

        class Failing:
            def __del__(self) -> None:
                raise ValueError("a mistake")

        with signals.stopping("dps"):
            Failing()
    assert [str(one) for one in said] == ["a mistake"]


def last_step() -> None:
    signals.finish_steps()
    send(signal.SIGTERM)
    signals.interrupt_steps()


def test_a_signal_in_the_last_step_is_not_lost() -> None:
    assert stopped(last_step).number == signal.SIGTERM


def test_the_next_command_of_the_process_starts_afresh() -> None:
    stopped(last_step)
    with signals.stopping("dps"):
        assert signals.stop_asked() is None
        signals.finish_steps()
        signals.interrupt_steps()
    assert stopped(lambda: send(signal.SIGINT)).number == signal.SIGINT  # and does not wait for a step


def test_a_step_that_takes_too_long_is_broken_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signals, "PATIENCE", 0.1)

    def endless_step() -> None:
        signals.finish_steps()
        send(signal.SIGTERM)
        time.sleep(20)
        pytest.fail("it goes on")

    assert stopped(endless_step).number == signal.SIGTERM


def test_what_holds_the_exception_back_is_ended_all_the_same() -> None:
    stubborn = """
import os, signal, time
from dps import signals

signals.PATIENCE = signals.LAST = 0.1
with signals.stopping("dps"):
    for number in (signal.SIGTERM, None, None):
        try:
            os.kill(os.getpid(), number) if number else time.sleep(20)
        except signals.Stopped:
            pass
"""
    done = subprocess.run([sys.executable, "-c", stubborn], capture_output=True, text=True, timeout=15, check=False)
    assert done.returncode == 143
    assert done.stderr.startswith("dps: stopped by SIGTERM: ") and done.stderr.count("\n") == 1


LATER = [pytest.param(name, marks=pytest.mark.slow) for name in ("torch", "pytorch_lightning", "torchvision")]


@pytest.mark.fault("a signal while the command starts")
@pytest.mark.parametrize("module", ["hydra", *LATER])
def test_a_signal_while_the_command_starts(tmp_path: Path, module: str) -> None:
    at_import = f"""
import os, signal, sys
from dps import main

class Signal:
    def find_spec(self, name, *_):
        if name == {module!r}:
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Signal())
main.main()
"""
    command = [sys.executable, "-c", at_import, "batch_size=16"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 130, done.stderr
    assert done.stderr.startswith("dps: stopped by Ctrl-C: ") and done.stderr.count("\n") == 1 and not done.stdout


# A command that starts a job as a process of its own, and is killed once the job runs, or before it has begun.
COMMAND = """
import os, signal, subprocess, sys
from dps import signals

with signals.stopping("dps"):
    job = subprocess.Popen([sys.executable, "-c", {job!r}], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    {wait}
    os.kill(os.getpid(), signal.SIGKILL)
"""
JOB = "import signal, sys, time; from dps import signals; {steps}; time.sleep(60)"


@pytest.mark.skipif(sys.platform != "linux", reason="asks the Linux kernel")
@pytest.mark.parametrize(
    ("steps", "wait"),
    [
        ("signals.end_with_command(); print(1, flush=True)", "job.stdout.readline()"),
        ("sys.stdin.read(); signals.end_with_command()", "pass"),
        ("signal.signal(signal.SIGTERM, lambda *_: None); sys.stdin.read(); signals.end_with_command()", "pass"),
    ],
    ids=["running", "starting", "starting under a launcher that passes over SIGTERM"],
)
def test_a_job_ends_with_its_command(steps: str, wait: str) -> None:
    typed = [sys.executable, "-c", COMMAND.format(job=JOB.format(steps=steps), wait=wait)]
    # Until the job has ended, too, which holds the same stderr.
    done = subprocess.run(typed, stderr=subprocess.PIPE, text=True, timeout=30, check=False)
    assert (done.returncode, done.stderr) == (-signal.SIGKILL, "")


WAITING = """
import sys
from dps import signals

signals.wait_for_jobs()
print("waits", flush=True)
sys.stdin.readline()
with signals.stopping("a job"):
    print("runs", flush=True)
    sys.stdin.readline()
"""


def test_ctrl_c_ends_a_job_and_not_the_process_that_waits_for_one() -> None:
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", WAITING], stdin=pipe, stdout=pipe, stderr=pipe, text=True) as running:
        assert running.stdout is not None and running.stderr is not None
        assert running.stdout.readline() == "waits\n"
        running.send_signal(signal.SIGINT)
        print(file=running.stdin, flush=True)
        assert running.stdout.readline() == "runs\n"
        running.send_signal(signal.SIGINT)
        assert running.wait(20) == 130
        assert running.stderr.read().startswith("a job: stopped by Ctrl-C: ")
