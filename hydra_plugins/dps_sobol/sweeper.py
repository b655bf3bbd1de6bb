"""The sweeper as Hydra finds it: hydra/sweeper=sobol. One job is one study, or a share of its trials."""
# Hydra's plugin scan fails on a dataclass whose annotations are postponed to strings: no `from __future__` import here.

import itertools
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict

from dps.protocol.values import require
from hydra_plugins.dps_sobol import grid

LAUNCHERS_HERE = "basic", "joblib", "submitit_local"  # others may run studies where there are other devices
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
        self.launcher: Launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> None:
        """Runs all studies and prints their table.

        Raises ValueError before any starts where the command line is wrong, RuntimeError at the end where some failed.
        """
        from dps.engine import wandb_sweep

        jobs = self._jobs(grid.read(arguments, self.config_loader))
        self._check(jobs)
        returns = self.launcher.launch(jobs, initial_job_idx=0)
        wandb_sweep.summarise(returns)
        report(returns)

    def _jobs(self, command: grid.CommandLine) -> list[list[str]]:
        from dps.engine.options import SEEDS_OF_A_REPLICATE

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
            self._check_keys([dimension.key for dimension in dimensions], cfg, study)
            study += grid.folder_override(point, replicate, cfg)
            study += [f"replicate={replicate}"] if replicate else []
            shares = grid.trial_overrides(dimensions, replicate, self.trials, self.trials_per_job or self.trials)
            study.append(f"++hydra.job.env_set.DPS_STUDY='{number} of {len(studies)}'")
            jobs += [study + share for share in shares]
        return jobs

    def _compose(self, overrides: list[str]) -> DictConfig:
        return self.config_loader.load_sweep_config(self.master_config, overrides)

    def _check_keys(self, keys: list[str], cfg: DictConfig, study: list[str]) -> None:
        if (missing := grid.missing_key(keys, cfg)) is None:
            return
        if missing not in (cfg.get("space") or {}):
            raise ValueError(f"{missing} is given an interval, but the configuration has no {missing}")
        others = [override for override in study if not override.startswith("space=")]
        spaces = {name: self._compose([*others, f"space={name}"]) for name in self._space_names()}
        fitting = [name for name, other in spaces.items() if grid.missing_key(list(other.space), other) is None]
        best = max(fitting, key=lambda name: len(spaces[name].space), default=None)
        hint = f"; space={best} fits it" if best else ""
        raise ValueError(f"space has the dimension {missing}, but the configuration has no {missing}{hint}")

    def _space_names(self) -> list[str]:
        return list(self.config_loader.get_group_options("space"))

    def _check(self, jobs: list[list[str]]) -> None:
        from dps.engine import devices, targets
        from dps.engine.named import named
        from dps.engine.overrides import refuse_renaming
        from dps.engine.study import Study

        targets.allow_own(self.master_config.hydra.runtime)
        for number, job in enumerate(jobs):
            refuse_renaming(job)
            cfg = self._compose(job)
            if number == 0:  # the launcher makes this folder; that of the configuration without the grid stays unused
                self.master_config.hydra.sweep.dir = cfg.hydra.sweep.dir
            choices = cfg.hydra.runtime.choices
            with open_dict(cfg):
                del cfg["hydra"]  # as the job itself will get it
            Study.parse(named(cfg, choices, "the study's own, which Hydra names when it runs"))
            if choices["hydra/launcher"] in LAUNCHERS_HERE:
                devices.check(cfg.trainer)


def report(returns: Sequence[JobReturn]) -> None:
    """Prints the table of the studies' folders; raises RuntimeError that names every study that failed."""
    from dps.errors import one_line
    from dps.report.terminal import show

    folders = [_folder(job) for job in returns]
    studies = list(dict.fromkeys(folders))
    show(studies)
    reasons: dict[Path, str] = {}
    for folder, job in zip(folders, returns, strict=True):
        if job.status != JobStatus.COMPLETED:
            reasons.setdefault(folder, one_line(job._return_value))
    if reasons:
        lines = "; ".join(f"{os.path.relpath(folder)}: {reason}" for folder, reason in reasons.items())
        where = "the traceback is in the folder's dps.log"
        raise RuntimeError(f"{len(reasons)} of {len(studies)} studies failed ({where}): {lines}")


def _folder(job: JobReturn) -> Path:
    assert job.hydra_cfg is not None
    return Path(job.hydra_cfg.hydra.runtime.output_dir)
