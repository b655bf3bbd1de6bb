"""Running a study: its folder claimed, what is missing trained, its answer read from its record."""

from contextlib import suppress

from dps.engine.study import Study
from dps.storage import checkpoints, ownership, records


def run(study: Study, overrides: list[str], trials_of_sweep: int | None = None) -> int | None:
    """Run those trials of a study that its folder lacks; returns its steps-to-result K*, None if none got there."""
    options = [one.option for one in study.metaparameters]
    ownership.claim(study.folder, study.cfg, overrides, options, trials_of_sweep)
    if study.missing():
        from dps.engine import fit

        fit.fit(study)
    else:
        with suppress(OSError):  # of a run that was killed after its last record; a disk that is read only keeps it
            checkpoints.remove(study.checkpoint)
    best = records.best(records.read(study.folder))
    return None if best is None else int(best["steps_to_result"])
