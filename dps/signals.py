"""Signals that ask a process to end: Ctrl-C, SIGTERM, and SIGUSR1, which a cluster sends before time is up."""

import ctypes
import math
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from types import FrameType
from typing import Any

NAMES = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM", signal.SIGUSR1: "SIGUSR1"}
PATIENCE = 7.0  # seconds after the first signal in which training may finish its step and save
LAST = 2.0  # further seconds to unwind, and for what waits for the end of the process
WITHIN = 9.8  # seconds after the first signal in which all of it has ended
AGAIN = 0.01  # seconds until Stopped is raised again where Python has thrown it away
PR_SET_PDEATHSIG = 1  # of linux/prctl.h
COMMAND = "DPS_COMMAND"  # an environment variable: the process of the command, for the jobs that it starts


class Stopped(SystemExit):
    """Raised in the main thread when a signal has come; `kept` says what the next start goes on from.

    Its exit code is what a shell gives a process that Ctrl-C ended, and for the two others that of SIGTERM.
    """

    kept = "all that is recorded is kept"

    def __init__(self, number: int):
        self.number = number
        self.exit_code = 128 + (signal.SIGINT if number == signal.SIGINT else signal.SIGTERM)
        super().__init__(self.exit_code)

    def __str__(self) -> str:
        return f"stopped by {NAMES[signal.Signals(self.number)]}: {self.kept}; the same command goes on"


class _State:
    """Of this process: which command listens, the first signal it got, and what is to be done about it."""

    command: str | None = None
    number: int | None = None
    since = math.inf  # seconds of time.monotonic at that signal
    finishes_step = False
    overdue = False
    ends_with_command = False


@contextmanager
def stopping(command: str) -> Iterator[None]:
    """Within it a signal raises Stopped, and within 10 seconds the process ends with one line and the exit code.

    Where the command listens already, or outside the main thread, it changes nothing.
    """
    if _State.command is not None or threading.current_thread() is not threading.main_thread():
        yield
        return
    _State.command, _State.number, _State.finishes_step, _State.overdue = command, None, False, False
    os.environ[COMMAND] = str(os.getpid())
    before = {number: signal.getsignal(number) for number in (*NAMES, signal.SIGALRM)}
    hook, sys.unraisablehook = sys.unraisablehook, partial(_thrown_away, sys.unraisablehook)
    try:
        _listen()
        yield
    except Stopped as stop:
        print(f"{command}: {stop}", file=sys.stderr)
        raise
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, handler)
        sys.unraisablehook = hook
        _State.command = None


def end_with_command() -> None:
    """End this process, unless it is the command's own, when the command has ended that it is a job of, here on Linux.

    The system kills it with the process that started it. Where that goes on by itself, as submitit's does, or has ended
    before it was asked to, it gets a SIGTERM; a job of a cluster has no command here.
    """
    if _State.command is not None or _State.ends_with_command or sys.platform != "linux":
        return
    _State.ends_with_command = True
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    is_here = os.environ.get("SUBMITIT_EXECUTOR", "local") == "local"
    if is_here and (command := os.environ.get(COMMAND)):
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, signal.SIG_DFL)  # which submitit has its jobs pass over
        threading.Thread(target=_end_after, args=[int(command)], daemon=True).start()


def wait_for_jobs() -> None:
    """What a process that waits for jobs of the command calls first: it ends with it.

    Ctrl-C, which reaches it too, is for the command, and for the job that runs.
    """
    end_with_command()
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _end_after(process: int) -> None:
    with suppress(ProcessLookupError):  # which has ended already
        ended = select.poll()
        ended.register(os.pidfd_open(process), select.POLLIN)
        ended.poll()
    os.kill(os.getpid(), signal.SIGTERM)


def seconds_left() -> float:
    """How long what waits for the end of a process that a signal has stopped may take."""
    return max(AGAIN, min(LAST, _State.since + WITHIN - time.monotonic()))


def finish_steps() -> None:
    """From here on the first signal lets the step end: whoever ends steps asks `stop_asked` and raises Stopped."""
    if _State.command is not None:
        _State.finishes_step = True
        _listen()  # Lightning has put handlers of its own over these


def stop_asked() -> int | None:
    """The first signal that came; None where none did."""
    return _State.number


def interrupt_steps() -> None:
    """From here on a signal raises Stopped at once again; raised now where one has come."""
    _State.finishes_step = False
    if _State.number is not None:
        raise Stopped(_State.number)


def _listen() -> None:
    for number in NAMES:
        signal.signal(number, _received)
    signal.signal(signal.SIGALRM, _too_late)


def _received(number: int, frame: FrameType | None) -> None:
    is_first = _State.number is None
    if is_first:
        _State.number, _State.since = number, time.monotonic()
        signal.setitimer(signal.ITIMER_REAL, PATIENCE)
    if not (is_first and _State.finishes_step):
        raise Stopped(number)


def _thrown_away(hook: Callable[[Any], object], unraisable: Any) -> None:
    """An exception that nothing can catch, as one in __del__: Stopped has to be raised once more."""
    if isinstance(unraisable.exc_value, Stopped):
        signal.setitimer(signal.ITIMER_REAL, AGAIN)
    else:
        hook(unraisable)


def _too_late(number: int, frame: FrameType | None) -> None:
    """What runs has not ended: it is broken off, and if it holds that exception back, so is the process."""
    assert _State.number is not None
    stop = Stopped(_State.number)
    if _State.overdue:
        print(f"{_State.command}: {stop}", file=sys.stderr, flush=True)
        os._exit(stop.exit_code)
    _State.overdue = True
    signal.setitimer(signal.ITIMER_REAL, LAST)
    raise stop
