"""One of a study's ranks: a process that trains its share of every batch, and ends when its parent does."""

import contextlib
import logging
import os
import sys
import threading
import time
import traceback
from logging.handlers import QueueHandler
from multiprocessing.connection import Connection, wait
from typing import NoReturn

from dps import errors, signals


class _ToParent(QueueHandler):
    """Hands what is logged to the parent, which has the terminal and the job's log."""

    def enqueue(self, record: logging.LogRecord) -> None:
        self.queue.send(record)  # type: ignore[attr-defined]


def train(parent: Connection) -> None:
    """Train the study that the parent sends, and tell it why this rank has ended before its time."""
    try:
        study, shown = parent.recv()
    except (EOFError, OSError):
        os._exit(1)  # there is no parent any more
    threading.Thread(target=_end_with, args=[parent], daemon=True).start()
    _log_to(parent)
    with signals.stopping("dps"):
        try:
            from dps.engine import display, fit, targets

            targets.import_own()
            with display.opened(shown):
                fit.fit_here(study)
        except signals.Stopped as stop:
            _end(parent, stop.kept, stop.exit_code)
        except Exception as error:
            from dps.engine.launch import Failure

            _end(parent, Failure(time.monotonic(), errors.one_line(error), traceback.format_exc()), 1)


def _end(parent: Connection, said: object, code: int) -> NoReturn:
    """At once: where training has not ended, the interpreter's own end can hang in what torch.distributed has open."""
    with contextlib.suppress(OSError):  # where there is no parent any more
        parent.send(said)
    sys.stdout.flush()
    os._exit(code)


def _end_with(parent: Connection) -> None:
    """Wait for the parent's end, whatever ends it: it sends nothing more, so nothing else can be read."""
    wait([parent])
    os._exit(1)


def _log_to(parent: Connection) -> None:
    """The first rank logs for all."""
    is_first = os.environ["RANK"] == "0"
    handler = _ToParent(parent) if is_first else logging.NullHandler()  # type: ignore[arg-type]
    handler.setLevel(logging.WARNING)
    logging.root.addHandler(handler)


if __name__ == "__main__":
    train(Connection(int(sys.argv[1])))
