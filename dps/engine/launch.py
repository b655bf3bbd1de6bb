"""Several devices: one process for each, a rank, which this process starts, watches and ends."""

import contextlib
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from multiprocessing import Pipe
from typing import NamedTuple

from torch.distributed import TCPStore  # type: ignore[attr-defined]

from dps.engine import devices
from dps.engine.study import Study

STOPPING = signal.SIGINT, signal.SIGTERM, signal.SIGUSR1
SECONDS_TO_STOP = 10.0  # after a signal, for the step to end and its checkpoint to be saved
SECONDS_TO_FAIL = 1.0  # after a rank has failed, for the others to say what they know: they cannot go on
SECONDS_BETWEEN_LOOKS = 0.05


class Failure(NamedTuple):
    """What ended a rank: the time on a clock that all ranks share, the sentence for the terminal, and the traceback."""

    seconds: float
    sentence: str
    traceback: str


class _Rank:
    """A rank's process, and what it has said of its failure."""

    def __init__(self, number: int, study: Study, environment: Mapping[str, str]):
        self.number = number
        self.failure: Failure | None = None
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
            self._line.send(study)

    def listen(self) -> bool:
        """Take what it has said, and log what it has logged; whether it failed."""
        code = self.process.poll()
        with contextlib.suppress(EOFError, OSError):  # it has ended, or closed its line
            while self._line.poll():
                said = self._line.recv()
                if isinstance(said, Failure):
                    self.failure = said
                else:
                    logging.getLogger(said.name).handle(said)
        return bool(code) or self.failure is not None

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

    RuntimeError with the sentence of the rank that failed first. A signal that asks this process to end asks the ranks,
    once and as SIGTERM, and is raised here again when they have ended.
    """
    store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)  # here, where the port is free for sure
    environment = _environment(study.cfg.trainer.devices, store.port)
    ranks: list[_Rank] = []
    with _noted() as signals:
        try:
            for number in range(study.cfg.trainer.devices):
                ranks.append(_Rank(number, study, environment))
            failed = _watch(ranks, signals)
        finally:
            for rank in ranks:
                rank.end()
    if signals:
        signal.raise_signal(signals[0])
    elif failed:
        raise failed[0].error()


def _environment(devices_asked: int, port: int) -> dict[str, str]:
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


@contextlib.contextmanager
def _noted() -> Iterator[list[int]]:
    """The signals that have asked this process to end since, in their order; each has its effect afterwards."""
    signals: list[int] = []
    before = {number: signal.signal(number, lambda number, frame: signals.append(number)) for number in STOPPING}
    try:
        yield signals
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _watch(ranks: Sequence[_Rank], signals: Sequence[int]) -> list[_Rank]:
    """Wait until all have ended, or time is up after a failure or a signal; those that failed, the cause first."""
    failed: list[_Rank] = []
    deadline = float("inf")
    while True:
        running = [rank for rank in ranks if rank.process.poll() is None]
        news = [rank for rank in ranks if rank.listen() and rank not in failed]
        failed += sorted(news, key=lambda rank: rank.failure or (0.0,))  # one that was killed, then who complains
        if not running or time.monotonic() > deadline or len(signals) > 1:
            return failed
        if deadline == float("inf") and (signals or failed):
            deadline = time.monotonic() + (SECONDS_TO_STOP if signals else SECONDS_TO_FAIL)
            for rank in running if signals else ():
                rank.process.terminate()
        time.sleep(SECONDS_BETWEEN_LOOKS)
