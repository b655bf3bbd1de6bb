"""One study from Python: composed, checked, trained and recorded as the command does it."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from hydra import version
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path
from hydra.core.config_search_path import SearchPathQuery
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobRuntime
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from dps import signals
from dps.engine import hydras_part
from dps.engine.composed import run_composed
from dps.engine.overrides import understood
from dps.errors import one_line
from dps.protocol.kinds import SEEDS_OF_A_REPLICATE
from dps.protocol.values import is_int, require
from dps.storage import records
from hydra_plugins.dps_sobol import grid

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class StudyResult:
    """K* in steps, None where no trial reached the goal; all recorded trials of the study; the folder they lie in."""

    steps_to_result: int | None
    trials: pd.DataFrame
    folder: Path


def run(
    overrides: Sequence[str] = (), trials: int | None = None, config_dir: str | os.PathLike[str] | None = None
) -> StudyResult:
    """Run one study in this process as `dps` would with these overrides; the same call again goes on where it stopped.

    With `trials` it is a study of a sweep, that of `dps -m ... hydra.sweeper.trials=TRIALS`: its metaparameters are the
    first points of the Sobol sequence in the search space. `config_dir` is the command's --config-dir.

    Raises:
        ValueError: the command would refuse what is asked for, and says why in the same words.
        KeyboardInterrupt: it was interrupted; what is trained is kept.
    """
    require(not isinstance(overrides, str), "overrides", overrides, 'a list of texts, as in ["batch_size=64"]')
    right = trials is None or (is_int(trials) and 0 < trials <= SEEDS_OF_A_REPLICATE)
    require(right, "trials", trials, f"an integer from 1 to {SEEDS_OF_A_REPLICATE}, or None")
    try:
        with signals.stopping("dps.run"), _hydra(config_dir) as hydra:
            typed = understood(overrides)
            return _run(hydra, typed if trials is None else _of_sweep(hydra, typed, trials), trials)
    except (HydraException, OmegaConfBaseException) as error:
        raise ValueError(one_line(error)) from error
    except signals.Stopped as stop:
        if stop.number == signal.SIGINT:
            raise KeyboardInterrupt(str(stop)) from None
        raise


def _run(hydra: Hydra, overrides: list[str], trials: int | None) -> StudyResult:
    def job(cfg: DictConfig) -> int | Exception | None:
        try:
            with _logged():
                return run_composed(cfg, trials)
        except Exception as error:  # which Hydra would announce on the terminal
            return error

    done = hydra.run("config", job, overrides, with_log_configuration=False)
    if isinstance(done.return_value, Exception):
        raise done.return_value
    assert done.hydra_cfg is not None
    folder = Path(done.hydra_cfg.hydra.runtime.output_dir)
    return StudyResult(done.return_value, records.read(folder), folder)


def _of_sweep(hydra: Hydra, overrides: list[str], trials: int) -> list[str]:
    """The overrides of the job to which the sweeper would give these trials."""
    command = grid.read(overrides, hydra.config_loader)
    for key, values in command.grid.items():
        raise ValueError(f"{key}={','.join(values)} asks for {len(values)} studies: dps.run runs one")
    compose = partial(hydra.compose_config, "config", run_mode=RunMode.RUN)
    dimensions = grid.dimensions(command, cfg := compose(command.fixed))
    grid.check(dimensions, cfg, command.fixed, compose, hydra.config_loader.get_group_options("space"))
    (share,) = grid.trial_overrides(dimensions, 0, trials, trials)
    return command.fixed + share


@contextmanager
def _hydra(config_dir: str | os.PathLike[str] | None) -> Iterator[Hydra]:
    """Hydra as the command has it, beside what the process does with Hydra itself, which stays as it was."""
    base, runtime = version.getbase(), JobRuntime.instance()
    name = runtime.get("name")
    version.setbase("1.3")
    try:
        places = create_config_search_path("pkg://conf")
        if config_dir is not None:
            folder = os.path.abspath(config_dir)
            require(os.path.isdir(folder), "config_dir", config_dir, "a folder")
            places.prepend("command-line", f"file://{folder}", SearchPathQuery(provider="schema"))
        with hydras_part.guarded():
            yield Hydra("dps", ConfigLoaderImpl(places))
    finally:
        version.VersionBase.instance().version_base = base
        runtime.set("name", name)


@contextmanager
def _logged() -> Iterator[None]:
    """What is logged of the job goes into its log too, as the command's does."""
    job = HydraConfig.get()
    handler = logging.FileHandler(Path(job.runtime.output_dir, f"{job.job.name}.log"), delay=True)
    handler.setFormatter(logging.Formatter(job.job_logging["formatters"]["simple"]["format"]))
    logging.root.addHandler(handler)
    try:
        yield
    finally:
        logging.root.removeHandler(handler)
        handler.close()
