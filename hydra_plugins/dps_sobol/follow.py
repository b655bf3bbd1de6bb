"""Lines on the studies of a sweep whose jobs print into files of their own, as submitit's do."""

import threading
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from dps import durations
from dps.engine.sweep import Job
from dps.report import finished
from dps.storage import records

SECONDS_BETWEEN_LOOKS = 2.0


@contextmanager
def followed(jobs: Sequence[Job], trials: int) -> Iterator[None]:
    """Within it a line is printed for every study of `trials` trials as soon as its folder has them all."""
    titles = {job.folder: job.title for job in jobs}
    for folder in _ended(titles, trials):
        print(f"{titles.pop(folder)}: {finished.k_star(folder)}, finished before", flush=True)
    is_over = threading.Event()
    thread = threading.Thread(target=_follow, args=[titles, trials, is_over], daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


def _follow(titles: dict[Path, str], trials: int, is_over: threading.Event) -> None:
    is_last = False
    while not is_last:
        is_last = is_over.wait(SECONDS_BETWEEN_LOOKS)
        for folder in _ended(titles, trials):
            took = durations.exact(records.seconds(records.read(folder)))
            print(f"{titles.pop(folder)}: {finished.sentence(folder)}, {took}", flush=True)


def _ended(folders: Collection[Path], trials: int) -> list[Path]:
    """Those that have all their trials; one whose record is damaged, the job itself tells of."""
    found = []
    for folder in folders:
        try:
            if len(records.read(folder)) >= trials:
                found.append(folder)
        except (ValueError, OSError):
            continue
    return found
