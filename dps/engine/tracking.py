"""Experiment trackers: Weights & Biases without prompts, and a clean end for every tracker."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from pytorch_lightning.loggers import Logger, WandbLogger


def wandb_logger(**options: Any) -> WandbLogger:
    """Lightning's W&B logger: online where an API key is configured, offline where none is; it never asks."""
    import wandb

    if wandb.login(prompt=False, verify=False):
        return WandbLogger(**options)
    return WandbLogger(mode="offline", **options)


@contextmanager
def closing(loggers: Sequence[Logger]) -> Iterator[None]:
    """End the trackers' runs whatever happens, so that the next study of the process starts runs of its own."""
    status = "failed"
    try:
        yield
        status = "success"
    finally:
        for logger in loggers:
            logger.finalize(status)
            if isinstance(logger, WandbLogger) and logger._experiment is not None:
                logger.experiment.finish(exit_code=0 if status == "success" else 1)
