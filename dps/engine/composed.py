"""A study as Hydra has composed it: checked, run within what is shown, and its traceback kept where it fails."""

import os
import traceback
from contextlib import suppress
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from dps.engine import display, targets
from dps.engine.named import named
from dps.engine.overrides import refuse_renaming
from dps.engine.run import run
from dps.engine.study import Study


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
        with display.opened(display.Shown() if alone else None), display.study(title(cfg), number):
            return run(study, typed, trials_of_sweep)
    except Exception:
        with suppress(OSError), (Path(job.runtime.output_dir) / f"{job.job.name}.log").open("a") as file:
            traceback.print_exc(file=file)
        raise


def title(cfg: DictConfig) -> str:
    """What the study is called in lines: in a sweep by the sweeper, which numbers it."""
    return os.environ.get("DPS_STUDY") or f"batch_size={cfg.get('batch_size')}, sparsity={cfg.get('sparsity')}"
