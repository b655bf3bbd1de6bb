"""Several devices: one process for each, a rank, which this process starts, watches and ends."""

import contextlib
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from multiprocessing import Pipe
from typing import NamedTuple

from torch.distributed import TCPStore  # type: ignore[attr-defined]

from dps import signals
from dps.engine import devices, display
from dps.engine.study import Study

SECONDS_TO_FAIL = 1.0  # after a rank has failed, for the others to say what they know: they cannot go on
SECONDS_BETWEEN_LOOKS = 0.05


class Failure(NamedTuple):
    """What ended a rank: the time on a clock that all ranks share, the sentence for the terminal, and the traceback."""

    seconds: float
    sentence: str
    traceback: str


class _Rank:
    """A rank's process, and what it has said: why it failed, or what it kept when a signal stopped it."""

    def __init__(self, number: int, study: Study, shown: display.Shown | None, environment: Mapping[str, str]):
        self.number = number
        self.failure: Failure | None = None
        self.kept: str | None = None
        self._line, theirs = Pipe()
        log = study.folder / "dps.log"  # for what the others print that says the same as the first
        with theirs, contextlib.nullcontext() if number == 0 else log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "dps.engine.rank", str(theirs.fileno())],
                env={**environment, "RANK": str(number), "LOCAL_RANK": str(number)},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=[theirs.fileno()],
                process_group=0,  # so that Ctrl-C in a terminal does not reach it past this process
            )
        with contextlib.suppress(OSError):  # where it has ended already, its exit code tells
            self._line.send((study, shown))

    def listen(self) -> bool:
        """Take what it has said, and log what it has logged; whether it failed."""
        code = self.process.poll()
        with contextlib.suppress(EOFError, OSError):  # it has ended
            while self._line.poll():
                said = self._line.recv()
                if isinstance(said, logging.LogRecord):
                    logging.getLogger(said.name).handle(said)
                elif isinstance(said, Failure):
                    self.failure = said
                else:
                    self.kept = said
        return self.failure is not None or (bool(code) and self.kept is None)

    def end(self) -> None:
        """End it, where it still runs."""
        self.process.kill()
        self.process.wait()
        self._line.close()

    def error(self) -> RuntimeError:
        """Why it failed: its own sentence where it had one, with the traceback as a note."""
        if self.failure is not None:
            error = RuntimeError(self.failure.sentence)
            error.add_note(f"In rank {self.number}:\n{self.failure.traceback}")
            return error
        code = self.process.returncode
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        return RuntimeError(f"rank {self.number} {how}: the same command goes on")


def launch(study: Study) -> None:
    """Train what is missing of the study, in a process for each device, all of which end with this one.

    RuntimeError with the sentence of the rank that failed first. A signal stops the ranks, which save what they have.
    """
    store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)  # here, where the port is free for sure
    own = environment(study.cfg.trainer.devices, store.port)
    ranks: list[_Rank] = []
    signals.finish_steps()
    with display.handed_over() as shown:
        try:
            for number in range(study.cfg.trainer.devices):
                ranks.append(_Rank(number, study, shown if number == 0 else None, own))
            failed = _watch(ranks)
        finally:
            for rank in ranks:
                rank.end()
    if kept := [rank.kept for rank in ranks if rank.kept is not None]:
        stop = signals.Stopped(signals.stop_asked() or signal.SIGTERM)
        stop.kept = kept[0]
        raise stop
    signals.interrupt_steps()
    if failed:
        raise failed[0].error()


def environment(devices_asked: int, port: int) -> dict[str, str]:
    """What all ranks read: where they meet, as torchrun has it, and their share of the cores."""
    threads = max(1, devices.cores() // devices_asked)
    return {
        "OMP_NUM_THREADS": str(threads),
        **os.environ,
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "TORCHELASTIC_USE_AGENT_STORE": "True",  # this process serves the store
        "WORLD_SIZE": str(devices_asked),
        "PYTHONSAFEPATH": "1",  # else a callbacks.py of the user's, where they are, stands in for ours
    }


def _watch(ranks: Sequence[_Rank]) -> list[_Rank]:
    """Wait until all have ended, or soon after one has failed; those that failed, the cause first.

    The first signal to this process reaches each rank once, as SIGTERM, which also ends one that has only begun.
    """
    failed: list[_Rank] = []
    deadline, asked = float("inf"), False
    while True:
        running = [rank for rank in ranks if rank.process.poll() is None]
        news = [rank for rank in ranks if rank.listen() and rank not in failed]
        failed += sorted(news, key=lambda rank: rank.failure or (0.0,))  # one that was killed, then who complains
        if not running or time.monotonic() > deadline:
            return failed
        if failed:
            deadline = min(deadline, time.monotonic() + SECONDS_TO_FAIL)
        if signals.stop_asked() is not None and not asked:
            asked = True
            for rank in running:
                rank.process.terminate()
        time.sleep(SECONDS_BETWEEN_LOOKS)
