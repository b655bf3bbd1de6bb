"""A job, as Hydra runs it: compose, check, fit, and return the steps-to-result."""

import logging
import sys
import time
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from dps import durations, errors, signals
from dps.engine import hydras_part
from dps.engine.composed import run_composed, title
from dps.engine.overrides import understood
from dps.storage import records

log = logging.getLogger(__name__)


def run_command_line() -> None:
    """Run the job, or with -m the jobs, that the command line asks for."""
    logging.raiseExceptions = False  # a log on a disk that is full is not worth its traceback
    errors.run_command("dps", _understood_job)


def _understood_job() -> None:
    if sys.argv[1:] == ["--version"]:  # Hydra would tell its own
        print(f"dps {version('dps')}")
        return
    sys.argv = [sys.argv[0], *understood(sys.argv[1:])]
    with hydras_part.guarded():
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
            log.error("%s: failed after %s: %s", title(cfg), durations.exact(time.monotonic() - begun), reason)
    else:
        if is_single:
            from dps.report import terminal

            terminal.show([Path(cfg.folder)])
        return cfg.max_steps + cfg.goal.interval_steps if steps_to_result is None else steps_to_result
    raise RuntimeError(reason)  # not chained to the error, whose frames hold all that the study had in memory


def _tell(cfg: DictConfig, seconds: float | None) -> None:
    """A line on the study that has ended, here and in its log, with the seconds it took; None: it was finished before.

    The results stand already: a disk that is full does not make the study fail.
    """
    from dps.report import finished

    if seconds is None:  # nothing new for the log, which may be on a disk that is read only
        print(f"{title(cfg)}: {finished.k_star(Path(cfg.folder))}, finished before", flush=True)
        return
    with suppress(OSError):
        log.info("%s: %s, %s", title(cfg), finished.sentence(Path(cfg.folder)), durations.exact(seconds))
