"""Running a study: its folder claimed, what is missing trained, its answer read from its record."""

import logging
from contextlib import AbstractContextManager, suppress

from filelock import Timeout

from dps.engine import memory
from dps.engine.study import Study
from dps.storage import checkpoints, files, ownership

log = logging.getLogger(__name__)
SECONDS_BETWEEN_TRIES = 1


def run(study: Study, overrides: list[str], trials_of_sweep: int | None = None) -> int | None:
    """Run those trials of a study that its folder lacks; returns their steps-to-result K*, None if none got there.

    Where another process runs the same trials, this one waits for its end, and trains what is still missing then.
    """
    ownership.claim(study.folder, study.cfg, overrides, study.searched, trials_of_sweep, study.elsewhere)
    if study.missing():
        with _alone(study):
            with files.lock(study.folder):
                study.refuse_another()  # that has claimed the folder since
            _train(study)
    with suppress(OSError):  # a disk that is read only keeps it
        _remove_finished(study)
    return study.steps_to_result()


def _remove_finished(study: Study) -> None:
    """Remove the checkpoints of trials that are recorded, such as that of a run killed after its last record."""
    checkpoints.remove(study.checkpoint)
    if any(study.folder.glob(checkpoints.OF_JOBS)):
        from dps.engine import checkpoint_io

        checkpoint_io.remove_finished(study.folder)


def _alone(study: Study) -> AbstractContextManager[object]:
    claim = ownership.job_lock(study.folder, study.job)
    try:
        return claim.acquire(blocking=False)
    except Timeout:
        log.warning("another process trains %s in %s: waiting for it to end", study.job, study.folder)
        return claim.acquire(poll_interval=SECONDS_BETWEEN_TRIES)


def _train(study: Study) -> None:
    if not study.missing():  # any more: the process that was waited for has trained them
        return
    from dps.engine import fit

    with memory.explained(study):
        fit.fit(study)
    checkpoints.remove(study.checkpoint)
