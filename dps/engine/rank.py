"""One of a study's ranks: a process that trains its share of every batch, and ends when its parent does."""

import logging
import os
import sys
import threading
import time
import traceback
from logging.handlers import QueueHandler
from multiprocessing.connection import Connection, wait


class _ToParent(QueueHandler):
    """Hands what is logged to the parent, which has the terminal and the job's log."""

    def enqueue(self, record: logging.LogRecord) -> None:
        self.queue.send(record)  # type: ignore[attr-defined]


def train(parent: Connection) -> None:
    """Train the study that the parent sends, and tell it what the first rank logs and why this one fails."""
    study = parent.recv()
    threading.Thread(target=_end_with, args=[parent], daemon=True).start()
    is_first = os.environ["RANK"] == "0"
    handler = _ToParent(parent) if is_first else logging.NullHandler()  # type: ignore[arg-type]
    handler.setLevel(logging.WARNING)
    logging.root.addHandler(handler)
    from dps import errors
    from dps.engine import fit
    from dps.engine.launch import Failure

    try:
        fit.fit_here(study)
    except Exception as error:
        parent.send(Failure(time.monotonic(), errors.one_line(error), traceback.format_exc()))
        sys.exit(1)


def _end_with(parent: Connection) -> None:
    """Wait for the parent's end, whatever ends it: it sends nothing more, so nothing else can be read."""
    wait([parent])
    os._exit(1)


if __name__ == "__main__":
    train(Connection(int(sys.argv[1])))
