"""The end of a command's process."""

import atexit
import logging
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import NoReturn

from dps import signals


def ended(command: Callable[[], object]) -> NoReturn:
    """Run a command, and end the process with its exit code once everything that waits for the end is done.

    Python would free all modules and objects first, one by one, which after `import torch` takes seconds. A signal that
    comes meanwhile changes nothing in the exit code; what waits has `signals.LAST` seconds from then on, and what is
    left of `signals.WITHIN` from the end of a command that a signal has stopped.
    """
    end = _End()
    atexit.register(end.now)  # as the first, it runs as the last
    for number in (*signals.NAMES, signal.SIGALRM):
        signal.signal(number, end.received)
    try:
        command()
        end.code = 0
    except SystemExit as stop:
        end.code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
        if isinstance(stop, signals.Stopped):
            end.hurry(signals.seconds_left())
        raise
    except BaseException:
        end.code = 1
        raise
    finally:
        logging.disable(logging.INFO)  # what libraries count, and tell at their end
    sys.exit()


class _End:
    """What becomes of the process; `code` is None until the command has ended."""

    code: int | None = None
    is_hurried = False

    def now(self) -> None:
        for stream in filter(None, (sys.stdout, sys.stderr)):  # None: closed before the start
            with suppress(OSError, ValueError):  # nobody reads it any more
                stream.flush()
        os._exit(1 if self.code is None else self.code)

    def hurry(self, seconds: float) -> None:
        """Give what waits for the end these last seconds."""
        self.is_hurried = True
        signal.setitimer(signal.ITIMER_REAL, seconds)

    def received(self, number: int, frame: FrameType | None) -> None:
        """Takes the signals that the command does not take: those before it, and those that come once it has ended."""
        if self.code is None:
            self.code = signals.Stopped(number).exit_code
        elif not self.is_hurried:
            self.hurry(signals.LAST)
            return
        self.now()
