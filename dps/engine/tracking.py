"""Experiment trackers, none of which can stop a study: CSV files, Weights & Biases, and a clean end for each."""

import inspect
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig
from pytorch_lightning.loggers import Logger, WandbLogger
from pytorch_lightning.loggers.logger import DummyLogger

from dps.errors import one_line

log = logging.getLogger(__name__)


def wandb_logger(settings: Mapping[str, Any], **options: Any) -> WandbLogger:
    """Lightning's W&B logger: online where an API key is configured, offline where none is; it never asks.

    `settings` are those of `wandb.init`; where WANDB_MODE is set, it decides.
    """
    import wandb

    if "WANDB_MODE" not in os.environ and not wandb.login(prompt=False, verify=False):
        options["mode"] = "offline"
    return _WandbRun(settings=dict(settings), **options)


class _WandbRun(WandbLogger):
    @property
    def experiment(self) -> Any:
        """The run: offline where the server cannot be reached, or does not take the key."""
        from wandb.errors import Error

        try:
            return super().experiment
        except Error as error:
            log.warning("Weights & Biases goes on offline, for its server cannot be used: %s", one_line(error))
            self._wandb_init["mode"] = "offline"
            return super().experiment


@Logger.register
class Tracker:
    """Stands before a logger that training is to outlive: when that first fails, it is dropped, with one warning."""

    def __init__(self, logger: Logger):
        self._logger = logger

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        try:
            value = getattr(self._logger, name)
        except AttributeError:  # which hasattr asks for
            raise
        except Exception as error:
            return self._drop(error)
        return partial(self._call, value) if inspect.ismethod(value) else value

    def close(self, status: str) -> None:
        """End the logger's run, which was a "success" or "failed"."""
        self.finalize(status)
        if isinstance(self._logger, WandbLogger) and self._logger._experiment is not None:
            self._call(self.experiment.finish, exit_code=0 if status == "success" else 1)

    def _call(self, method: Callable[..., Any], *given: Any, **options: Any) -> Any:
        try:
            return method(*given, **options)
        except Exception as error:
            return self._drop(error)

    def _drop(self, error: Exception) -> None:
        log.warning("%s is dropped, and the study goes on: %s", type(self._logger).__name__, one_line(error))
        self._logger = DummyLogger()


def trackers(cfg: DictConfig) -> list[Tracker]:
    """The study's, by its configuration."""
    return [Tracker(instantiate(cfg.logger))] if cfg.get("logger") else []


@contextmanager
def closing(trackers: Sequence[Any]) -> Iterator[None]:
    """End the trackers' runs whatever happens, so that the next study of the process starts runs of its own."""
    status = "failed"
    try:
        yield
        status = "success"
    finally:
        for tracker in trackers:
            tracker.close(status)
