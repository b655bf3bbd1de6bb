"""How far a sweep is: which of its jobs are over, what they took, and what that says of the time that is left."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

from omegaconf import OmegaConf

from dps.engine.study import Study
from dps.stages import Stages
from dps.storage import records

QUIET_SECONDS = 5.0  # in which data are read without a word


@dataclass
class Job:
    """A study, or a share of its trials: what it is called, where it stands in the grid, and what is to be done.

    `trials` are those that it has still to train. Once it is over, they took `seconds`, None where it failed.
    """

    folder: Path
    title: str
    workload: str
    batch_size: int
    sparsity: float
    trials: int
    seconds: float | None = None
    is_over: bool = False

    def likeness(self, other: Job) -> tuple[bool, bool, float]:
        """How far the other is from it, to be compared: by the workload, the sparsity, and the batch size at last."""
        apart = abs(math.log(self.batch_size / other.batch_size))
        return self.workload != other.workload, self.sparsity != other.sparsity, apart


def planned(study: Study, title: str) -> Job:
    """The job of a study, as its folder says: one that is all recorded is over."""
    cfg, asked = study.cfg, {trial["trial"] for trial in study.trials}
    job = Job(study.folder, title, cfg.workload, cfg.batch_size, cfg.sparsity, len(asked))
    found = records.read(study.folder)
    there = found[found["trial"].isin(asked)]
    job.is_over = len(there) == len(asked)
    if job.is_over:
        job.seconds = records.seconds(there)
    else:
        job.trials -= len(there)
    return job


def read_data(studies: Iterable[Study]) -> None:
    """Read the data of each study, once where they are the same; ValueError where they are not there, or damaged."""
    different = {OmegaConf.to_yaml(study.cfg.data, resolve=True): study for study in studies}
    with Stages("dps", QUIET_SECONDS) as at:
        at("reads the data, which all studies need")
        for study in different.values():
            study.data().prepare_data()


class Sweep:
    """The jobs of a sweep in their order, and those of them that are over."""

    def __init__(self, jobs: Sequence[Job]):
        self.jobs = jobs
        self.running: Job | None = None

    @property
    def studies(self) -> int:
        """How many there are."""
        return len({job.folder for job in self.jobs})

    @property
    def studies_over(self) -> int:
        """How many have no job that is still to end."""
        return self.studies - len({job.folder for job in self.jobs if not job.is_over})

    def begin(self, number: int) -> None:
        """The job of this number, counted from 0, runs from now on."""
        self.running = self.jobs[number]

    def end(self, seconds: float | None) -> None:
        """The running job has ended, after so many seconds; None where it failed."""
        job, self.running = self.running, None
        if job is not None and not job.is_over:
            job.is_over, job.seconds = True, seconds

    def seconds_left(self, running_seconds: float) -> tuple[float, int] | None:
        """A guess, and the number of jobs that it comes from; None before one is over that tells.

        A trial is taken to cost what it did in the job that is most like its own, or at the mean of several as like;
        the running job has run for `running_seconds`.
        """
        costs = [(job, job.seconds / job.trials) for job in self.jobs if job.is_over and job.seconds is not None]
        if not costs:
            return None
        left = 0.0
        for job in (job for job in self.jobs if not job.is_over):
            nearest = min(job.likeness(one) for one, _ in costs)
            whole = job.trials * mean(cost for one, cost in costs if job.likeness(one) == nearest)
            left += max(0.0, whole - running_seconds) if job is self.running else whole
        return left, len(costs)
