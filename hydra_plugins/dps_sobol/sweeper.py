"""The sweeper as Hydra finds it: hydra/sweeper=sobol. One job is one study, or a share of its trials."""
# Hydra's plugin scan fails on a dataclass whose annotations are postponed to strings: no `from __future__` import here.

import itertools
import os
import shlex
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.types import Quote, QuotedString
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import InterpolationResolutionError

from dps import signals
from dps.protocol.values import require
from hydra_plugins.dps_sobol import grid
from hydra_plugins.dps_sobol.follow import followed

if TYPE_CHECKING:
    from dps.engine.sweep import Job

LAUNCHERS_HERE = "basic", "joblib", "local", "submitit_local"  # others may run studies where there are other devices
MOST_REPLICATES = 1000  # each is a study of its own at every point of the grid, composed before the first starts


@dataclass
class SobolSweeperConf:
    """hydra.sweeper: a study's trials, how many of them one job runs (null: all), and how often a study is repeated."""

    _target_: str = "hydra_plugins.dps_sobol.sweeper.SobolSweeper"
    trials: int = 100
    trials_per_job: int | None = None
    replicates: int = 1


ConfigStore.instance().store(group="hydra/sweeper", name="sobol", node=SobolSweeperConf, provider="dps_sobol")


class SobolSweeper(Sweeper):
    """Runs every study of the grid with the first `trials` points of the Sobol sequence of its search space.

    With `replicates` it runs the whole grid so often, each time with the data, weights and points of a replicate.
    """

    def __init__(self, trials: int, trials_per_job: int | None, replicates: int):
        self.trials = trials
        self.trials_per_job = trials_per_job
        self.replicates = replicates

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Called by Hydra once the configuration is composed, with everything but the sweep in it."""
        self.master_config: DictConfig = config
        self.config_loader = hydra_context.config_loader
        launcher: Any = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )
        if config.hydra.launcher._target_.endswith(".JoblibLauncher"):
            launcher.joblib["initializer"] = signals.wait_for_jobs  # they would outlive a command that is killed
        self.launcher: Launcher = launcher

    def sweep(self, arguments: list[str]) -> None:
        """Runs all studies and prints their table.

        Raises ValueError before any starts where the command line is wrong, RuntimeError at the end where some failed.
        """
        from dps.engine import wandb_sweep

        jobs, begun = self._jobs(grid.read(arguments, self.config_loader)), time.monotonic()
        with self._shown(self._check(jobs)):
            returns = self.launcher.launch(jobs, initial_job_idx=0)
        wandb_sweep.summarise(returns)
        report(returns, time.monotonic() - begun)

    def _shown(self, jobs: "list[Job]") -> AbstractContextManager[None]:
        """What says meanwhile how far the sweep is; other launchers' jobs print here, each its line."""
        from dps.engine import display
        from dps.engine.sweep import Sweep

        if "submitit" in self.master_config.hydra.launcher._target_:
            return followed(jobs)
        is_here = self.master_config.hydra.runtime.choices["hydra/launcher"] == "basic"
        return display.opened(display.Shown(Sweep(jobs)) if is_here else None)

    def _jobs(self, command: grid.CommandLine) -> list[list[str]]:
        from dps.protocol.kinds import SEEDS_OF_A_REPLICATE

        most = {"trials": SEEDS_OF_A_REPLICATE, "trials_per_job": SEEDS_OF_A_REPLICATE, "replicates": MOST_REPLICATES}
        for name, limit in most.items():
            value, option = getattr(self, name), f"hydra.sweeper.{name}"
            require(value is None or value > 0, option, value, "a positive integer")
            require(value is None or value <= limit, option, value, f"at most {limit}")
        jobs, studies = [], list(itertools.product(range(self.replicates), command.points()))
        for number, (replicate, point) in enumerate(studies, start=1):
            study = [*command.fixed, *(f"{key}={value}" for key, value in point.items())]
            cfg = self._compose(study)
            dimensions = grid.dimensions(command, cfg)
            grid.check(dimensions, cfg, study, self._compose, self.config_loader.get_group_options("space"))
            study += grid.folder_override(point, replicate, cfg)
            study += [f"replicate={replicate}"] if replicate else []
            shares = grid.trial_overrides(dimensions, replicate, self.trials, self.trials_per_job or self.trials)
            title = f"{number} of {len(studies)}  {grid.title(point, replicate, cfg)}"
            study.append(f"++hydra.job.env_set.DPS_STUDY={QuotedString(title, Quote.single).with_quotes()}")
            jobs += [study + share for share in shares]
        return jobs

    def _compose(self, overrides: list[str]) -> DictConfig:
        return self.config_loader.load_sweep_config(self.master_config, overrides)

    def _check(self, jobs: list[list[str]]) -> "list[Job]":
        """What there is to do; ValueError where a job is wrong."""
        from dps.engine import devices, targets
        from dps.engine.named import named
        from dps.engine.overrides import refuse_renaming
        from dps.engine.study import Study
        from dps.engine.sweep import planned, read_data

        targets.allow_own(self.master_config.hydra.runtime)
        found, to_train = [], []
        for number, job in enumerate(jobs):
            refuse_renaming(job)
            cfg = self._compose(job)
            if number == 0:  # the launcher makes this folder; that of the configuration without the grid stays unused
                self.master_config.hydra.sweep.dir = cfg.hydra.sweep.dir
            choices = cfg.hydra.runtime.choices
            own = cfg.copy()
            with open_dict(own):
                del own["hydra"]  # as the job itself will get it
            cfg.hydra.job.num = cfg.hydra.job.id = number  # as the launcher does
            folder = Path(str(cfg.hydra.sweep.dir), str(cfg.hydra.sweep.subdir))
            study = Study.parse(named(own, choices, folder))
            is_here = choices["hydra/launcher"] in LAUNCHERS_HERE or self._ray_is_here()
            if is_here:
                devices.check(own.trainer)
            with suppress(InterpolationResolutionError):  # of what only the job has, which looks itself
                study.refuse_another()
            found.append(planned(study, cfg.hydra.job.env_set.DPS_STUDY))
            to_train += [study] if is_here and not found[-1].is_over else []
        read_data(to_train)
        return found

    def _ray_is_here(self) -> bool:
        """Whether Ray runs the jobs, on this machine alone: one with too few GPUs would wait for them for ever."""
        return OmegaConf.select(self.master_config, "hydra.launcher.ray.init.address", default="no Ray") is None


def report(returns: Sequence[JobReturn], seconds: float) -> None:
    """Prints the table of the studies' folders, the time, and how to go on with what did not fail.

    RuntimeError that names every study that failed, or whose trials.csv is damaged.
    """
    from dps import durations
    from dps.errors import one_line
    from dps.report.terminal import show
    from dps.storage import records

    folders = [_folder(job) for job in returns]
    studies = list(dict.fromkeys(folders))
    reasons: dict[Path, str] = {}
    for folder, job in zip(folders, returns, strict=True):
        if job.status != JobStatus.COMPLETED:
            reasons.setdefault(folder, one_line(job._return_value))
    reasons = show(studies) | reasons
    print(f"{len(studies)} {'study' if len(studies) == 1 else 'studies'} in {durations.exact(seconds)}.")
    done = [job for job in returns if _folder(job) not in reasons and (_folder(job) / records.FILE).exists()]
    for next_ in dict.fromkeys(map(_next, done)):
        print(next_)
    if reasons:
        lines = "; ".join(f"{os.path.relpath(folder)}: {reason}" for folder, reason in reasons.items())
        where = "the traceback is in the folder's dps.log"
        raise RuntimeError(f"{len(reasons)} of {len(studies)} studies failed ({where}): {lines}")


def _next(job: JobReturn) -> str:
    """What can be typed on the folder of a job's sweep."""
    from dps.engine.targets import config_dir_typed

    assert job.hydra_cfg is not None
    place = os.path.relpath(job.hydra_cfg.hydra.sweep.dir)
    confirm = ["dps-confirm", *config_dir_typed(job.hydra_cfg.hydra.runtime), place]
    return f"Next: {shlex.join(['dps-report', place])}, or {shlex.join(confirm)}"


def _folder(job: JobReturn) -> Path:
    assert job.hydra_cfg is not None
    return Path(job.hydra_cfg.hydra.runtime.output_dir)
