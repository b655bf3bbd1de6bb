"""How a command's process ends: at once, with its own exit code, and with all that waits for the end done."""

import subprocess
import sys

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
