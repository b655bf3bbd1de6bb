"""What a command that trains no study is at, said on stderr: stdout is for what it finds."""

import sys
import threading
import time
from types import TracebackType
from typing import Self

from dps import durations


class Stages:
    """Says each stage of a command as it begins; before `quiet_seconds` have passed only keeps it, and says it then."""

    def __init__(self, command: str, quiet_seconds: float = 0.0):
        self._command, self._begun = command, time.monotonic()
        self._stage = ""
        self._is_quiet = quiet_seconds > 0
        self._lock = threading.Lock()
        self._timer = threading.Timer(quiet_seconds, self._speak_up)
        self._timer.daemon = True

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, frames: TracebackType | None
    ) -> None:
        self._timer.cancel()

    def __call__(self, stage: str) -> None:
        """From here on the command is at this stage."""
        with self._lock:
            self._stage = stage
            self._say()

    def _speak_up(self) -> None:
        with self._lock:
            if self._is_quiet:
                self._is_quiet = False
                self._say()

    def _say(self) -> None:
        if self._stage and not self._is_quiet:
            passed = durations.exact(time.monotonic() - self._begun)
            print(f"{self._command}: after {passed}: {self._stage}", file=sys.stderr, flush=True)
