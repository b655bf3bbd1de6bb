"""Experiment trackers, none of which can stop a study, and a clean end for each."""

import inspect
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

from hydra.utils import instantiate
from pytorch_lightning.loggers import Logger, WandbLogger
from pytorch_lightning.loggers.logger import DummyLogger

from dps.engine.study import Study
from dps.errors import one_line

log = logging.getLogger(__name__)
DROPPED = "%s is dropped, and the study goes on: %s"


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
        log.warning(DROPPED, type(self._logger).__name__, one_line(error))
        dropped, self._logger = self._logger, DummyLogger()
        with suppress(Exception):  # of what has failed already
            dropped.finalize("failed")


def trackers(study: Study) -> list[Tracker]:
    """The study's, by its configuration: one logger, or several by name; one that is `_partial_` is given the study.

    Without those that cannot be made, as where one looks for its server at once.
    """
    configured = study.cfg.get("logger") or {}
    parts = [configured] if "_target_" in configured else list(configured.values())
    return [tracker for part in parts if (tracker := _made(part, study)) is not None]


def _made(part: Any, study: Study) -> Tracker | None:
    try:
        one = instantiate(part)
        return Tracker(one(study) if isinstance(one, partial) else one)
    except Exception as error:
        log.warning(DROPPED, part["_target_"].rpartition(".")[2], one_line(error))
        return None


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
