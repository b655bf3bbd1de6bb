"""Lines on the studies of a sweep whose jobs print into files of their own, as submitit's do."""

import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from dps.engine.sweep import Job
from dps.report import finished

SECONDS_BETWEEN_LOOKS = 2.0
SAID = re.compile(rb"^\[[^\]]*\]\[dps\.job\]\[\w+\] - (.*)\n", re.MULTILINE)  # of dps.log, as Hydra formats it


@contextmanager
def followed(jobs: Sequence[Job]) -> Iterator[None]:
    """Within it the lines that end jobs are printed as they come into the studies' logs."""
    titles = {job.folder: job.title for job in jobs}
    open_ones = {job.folder for job in jobs if not job.is_over}
    for folder, title in titles.items():
        if folder not in open_ones:
            print(f"{title}: {finished.k_star(folder)}, finished before", flush=True)
    logs = {log: _size(log) for log in (folder / "dps.log" for folder in titles)}
    is_over = threading.Event()
    thread = threading.Thread(target=_follow, args=[logs, is_over], daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


def _follow(logs: dict[Path, int], is_over: threading.Event) -> None:
    """Read the logs on from these places until it is over, and once more."""
    is_last = False
    while not is_last:
        is_last = is_over.wait(SECONDS_BETWEEN_LOOKS)
        for log, place in logs.items():
            if _size(log) > place:
                with log.open("rb") as file:
                    file.seek(place)
                    lines = file.read().rpartition(b"\n")
                logs[log] = place + len(lines[0]) + len(lines[1])
                for said in SAID.findall(lines[0] + lines[1]):
                    print(said.decode(errors="replace"), flush=True)


def _size(log: Path) -> int:
    return log.stat().st_size if log.exists() else 0
