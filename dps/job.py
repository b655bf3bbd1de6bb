"""A job, as Hydra runs it: compose, check, fit, and return the steps-to-result."""

import logging
import os
import sys
import time
import traceback
from contextlib import suppress
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from dps import durations, errors, signals
from dps.engine import display, targets
from dps.engine.named import named
from dps.engine.overrides import refuse_renaming, understood
from dps.engine.run import run
from dps.engine.study import Study
from dps.storage import records

log = logging.getLogger(__name__)


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
    is_single, begun = job.mode == RunMode.RUN, time.monotonic()
    try:
        before = records.version(Path(job.runtime.output_dir))
        steps_to_result = run_composed(cfg, None if is_single else OmegaConf.select(job.sweeper, "trials"))
        _tell(cfg, None if records.version(Path(cfg.folder)) == before else time.monotonic() - begun)
    except Exception as error:
        if is_single:
            errors.stop("dps", error)
        reason = errors.one_line(error)
        with suppress(OSError):
            log.error("%s: failed after %s: %s", _title(cfg), durations.exact(time.monotonic() - begun), reason)
    else:
        if is_single:
            from dps.report import terminal

            terminal.show([Path(cfg.folder)])
        return cfg.max_steps + cfg.goal.interval_steps if steps_to_result is None else steps_to_result
    raise RuntimeError(reason)  # not chained to the error, whose frames hold all that the study had in memory


def run_composed(cfg: DictConfig, trials_of_sweep: int | None) -> int | None:
    """Check and run the job that Hydra has composed, and return its K*; its log gets the traceback of what fails."""
    job = HydraConfig.get()
    is_single = job.mode == RunMode.RUN
    try:
        refuse_renaming(job.overrides.task)
        targets.allow_own(job.runtime)
        OmegaConf.resolve(named(cfg, job.runtime.choices, job.runtime.output_dir))
        typed = [*targets.config_dir_typed(job.runtime), *job.overrides.task]
        study, number = Study.parse(cfg), None if is_single else job.job.num
        alone = is_single or job.runtime.choices["hydra/launcher"] == "basic"
        with display.opened(display.Shown() if alone else None), display.study(_title(cfg), number):
            return run(study, typed, trials_of_sweep)
    except Exception:
        with suppress(OSError), (Path(job.runtime.output_dir) / f"{job.job.name}.log").open("a") as file:
            traceback.print_exc(file=file)
        raise


def _title(cfg: DictConfig) -> str:
    """What the study is called in lines: in a sweep by the sweeper, which numbers it."""
    return os.environ.get("DPS_STUDY") or f"batch_size={cfg.get('batch_size')}, sparsity={cfg.get('sparsity')}"


def _tell(cfg: DictConfig, seconds: float | None) -> None:
    """A line on the study that has ended, here and in its log, with the seconds it took; None: it was finished before.

    The results stand already: a disk that is full does not make the study fail.
    """
    from dps.report import finished

    if seconds is None:  # nothing new for the log, which may be on a disk that is read only
        print(f"{_title(cfg)}: {finished.k_star(Path(cfg.folder))}, finished before", flush=True)
        return
    with suppress(OSError):
        log.info("%s: %s, %s", _title(cfg), finished.sentence(Path(cfg.folder)), durations.exact(seconds))
