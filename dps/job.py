"""A job, as Hydra runs it: compose, check, fit, and return the steps-to-result."""

import sys
import traceback
from contextlib import suppress
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from dps import errors, signals
from dps.engine import targets
from dps.engine.named import named
from dps.engine.overrides import refuse_renaming, understood
from dps.engine.run import run
from dps.engine.study import Study


def run_command_line() -> None:
    """Run the job, or with -m the jobs, that the command line asks for."""
    errors.run_command("dps", _understood_job)


def _understood_job() -> None:
    sys.argv = understood(sys.argv)
    job()


@hydra.main(version_base="1.3", config_path="pkg://conf", config_name="config")
def job(cfg: DictConfig) -> int:
    """One job's steps-to-result, which an optimizing sweeper minimises; its log gets the traceback of what fails.

    Where none of its trials reached the goal: the step of the first check beyond the budget.
    """
    signals.end_with_command()  # a launcher may have put it into a process of its own
    with signals.stopping("dps"):
        return _run(cfg)


def _run(cfg: DictConfig) -> int:
    job = HydraConfig.get()
    try:
        trials = OmegaConf.select(job.sweeper, "trials") if job.mode == RunMode.MULTIRUN else None
        steps_to_result = run_composed(cfg, trials)
    except Exception as error:
        if job.mode == RunMode.RUN:
            errors.stop("dps", error)
        reason = errors.one_line(error)
    else:
        if job.mode == RunMode.RUN:
            from dps.report import terminal

            terminal.show([Path(cfg.folder)])
        return cfg.max_steps + cfg.goal.interval_steps if steps_to_result is None else steps_to_result
    raise RuntimeError(reason)  # not chained to the error, whose frames hold all that the study had in memory


def run_composed(cfg: DictConfig, trials_of_sweep: int | None) -> int | None:
    """Check and run the job that Hydra has composed, and return its K*; its log gets the traceback of what fails."""
    job = HydraConfig.get()
    try:
        refuse_renaming(job.overrides.task)
        targets.allow_own(job.runtime)
        OmegaConf.resolve(named(cfg, job.runtime.choices, job.runtime.output_dir))
        typed = [*targets.config_dir_typed(job.runtime), *job.overrides.task]
        return run(Study.parse(cfg), typed, trials_of_sweep)
    except Exception:
        with suppress(OSError), (Path(job.runtime.output_dir) / f"{job.job.name}.log").open("a") as log:
            traceback.print_exc(file=log)
        raise
