"""How a command's process ends: at once, with its own exit code, and with all that waits for the end done."""

import signal
import subprocess
import sys
import time

import pytest

ENDED = """
import atexit, logging, sys, threading, time
from dps import ending

class Slow:
    def __del__(self):
        print("freed one by one")

held = Slow()

def late():
    time.sleep(0.2)
    print("the thread has ended")

def command():
    logging.basicConfig(level=logging.INFO, stream=sys.stdout)
    atexit.register(logging.info, "what a library has counted")
    atexit.register(print, "what waits for the end is done")
    threading.Thread(target=late).start()
    {last}

ending.ended(command)
"""


@pytest.mark.parametrize(
    ("last", "code", "said"),
    [
        ("pass", 0, ""),
        ("sys.exit()", 0, ""),
        ("sys.exit(130)", 130, ""),
        ("sys.exit('one sentence')", 1, "one sentence\n"),
        ("raise ValueError('a mistake')", 1, "ValueError: a mistake\n"),
    ],
)
def test_the_process_ends_at_once_with_the_commands_code(last: str, code: int, said: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", ENDED.format(last=last)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == code
    assert done.stdout == "the thread has ended\nwhat waits for the end is done\n"
    assert done.stderr.endswith(said) and bool(done.stderr) == bool(said)


def test_an_output_that_nobody_reads_is_no_failure() -> None:
    typed = f"{sys.executable} -c 'from dps import ending; ending.ended(lambda: print(1))' 2>&1 >&- | cat"
    assert subprocess.run(typed, shell=True, capture_output=True, text=True, timeout=60, check=True).stdout == ""


WAITING = """
import atexit, time
from dps import ending, signals

def wait():
    print("the command has ended", flush=True)
    time.sleep(30)

def command():
    with signals.stopping("name"):
        atexit.register(wait)
        {last}

ending.ended(command)
"""


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1])
@pytest.mark.parametrize(("last", "code"), [("pass", 0), ("raise signals.Stopped(15)", 143), ("1 / 0", 1)])
def test_a_signal_at_the_end_leaves_the_exit_code(sent: signal.Signals, last: str, code: int) -> None:
    command = [sys.executable, "-c", WAITING.format(last=last)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "the command has ended\n"
        begun = time.monotonic()
        running.send_signal(sent)
        if code:  # the second one ends it at once, and the first within two seconds
            time.sleep(0.2)
            running.send_signal(sent)
        assert running.wait(20) == code
        assert time.monotonic() - begun < 10


STUBBORN = """
import atexit, time
from dps import ending, signals

def command():
    with signals.stopping("name"):
        atexit.register(time.sleep, 30)
        signals.finish_steps()
        print("a step that never ends", flush=True)
        try:
            time.sleep(60)
        finally:
            time.sleep(1.8)  # unwinds

ending.ended(command)
"""


@pytest.mark.slow
@pytest.mark.fault("a signal while the step, the way out and the end all take too long")
def test_a_command_ends_within_ten_seconds_whatever_it_waits_for() -> None:
    with subprocess.Popen([sys.executable, "-c", STUBBORN], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        assert running.stdout is not None
        running.stdout.readline()
        sent = time.monotonic()
        running.send_signal(signal.SIGTERM)
        assert running.wait(20) == 143
        assert time.monotonic() - sent < 10
