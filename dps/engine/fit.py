"""Training a study: instantiate what its configuration names, and fit it, from its checkpoint if there is one."""

import logging
import os
import subprocess
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from callbacks import Record, StudyCheckpoint, StudyProgress
from dps.engine import check, tracking
from dps.engine.memory import keep_freed_memory
from dps.engine.module import StudyTask
from dps.stack.shape import SliceShape, slice_shape
from dps.storage import files, ownership, records

log = logging.getLogger(__name__)


def fit(cfg: DictConfig) -> None:
    """Train the trials that the study's folder lacks, in this process or in one process for each of several devices."""
    if cfg.trainer.devices > 1 and "TORCHELASTIC_RUN_ID" not in os.environ:
        _launch_ranks(cfg)
    else:
        fit_here(cfg)


def fit_here(cfg: DictConfig) -> pl.Trainer:
    """Train the missing trials in this process, as the rank it is; the trainer comes back with its callbacks."""
    quieten_lightning()
    keep_freed_memory()
    if cfg.trainer.precision == "bf16-mixed":
        log.warning("trainer.precision=bf16-mixed is not the study's protocol, which is 32-true: K* may differ")
    folder, trials = Path(cfg.folder), check.trials_of(cfg)
    checkpoint = ownership.checkpoint_path(folder, trials)
    saved = _readable(checkpoint) if checkpoint.exists() else None
    if saved is None:
        recorded = set(records.read(folder)["trial"])
        trials = [trial for trial in trials if trial["trial"] not in recorded]
    trainer = _trainer(cfg, folder, checkpoint)
    task, data = _task(cfg, folder, trials), instantiate(cfg.data)
    with tracking.closing(trainer.loggers):
        trainer.fit(task, datamodule=data, ckpt_path=saved, weights_only=True)
        best = records.best(records.read(folder))
        for logger in trainer.loggers:
            logger.log_metrics({"steps_to_result": float("nan") if best is None else int(best["steps_to_result"])})
    if trainer.is_global_zero:
        checkpoint.unlink(missing_ok=True)
    return trainer


def _readable(checkpoint: Path) -> Path:
    try:
        torch.load(checkpoint, map_location="cpu", weights_only=True)
    except Exception as error:
        raise ValueError(f"{checkpoint} is damaged: remove it, and the same command starts its trials again") from error
    return checkpoint


def _task(cfg: DictConfig, folder: Path, trials: Sequence[dict[str, Any]]) -> StudyTask:
    def shape(images: Tensor) -> SliceShape:
        given = {name: value for name, value in cfg.stack.items() if value is not None}
        return _recorded(folder, given, lambda: slice_shape(build, images, batch_size_per_rank, len(trials)))

    build, batch_size_per_rank = partial(instantiate, cfg.model), cfg.batch_size // cfg.trainer.devices
    return StudyTask(build, instantiate(cfg.optimizer), instantiate(cfg.lr_schedule), trials, shape)


def _recorded(folder: Path, given: dict[str, Any], measure: Callable[[], SliceShape]) -> SliceShape:
    """The study's slice shape: that of its first start, so that every later job and start repeats its arithmetic."""
    path = folder / ".hydra" / "stack.yaml"
    with files.lock(folder):
        if path.exists():
            saved: Any = OmegaConf.load(path)
            kept = SliceShape(**saved)
            for name, value in given.items():
                if value != (own := getattr(kept, name)):
                    log.warning("stack.%s=%s is ignored: the study keeps %s, its first", name, value, own)
            return kept
        shape = SliceShape(**given) if len(given) == len(fields(SliceShape)) else replace(measure(), **given)
        files.write_atomically(path, OmegaConf.to_yaml(vars(shape)))
        return shape


def _trainer(cfg: DictConfig, folder: Path, checkpoint: Path) -> pl.Trainer:
    columns = ("workload", "batch_size", "sparsity", "max_steps")
    about = {name: cfg[name] for name in columns} | dict(cfg.names)
    about |= {"goal_error": cfg.goal.error, "interval_steps": cfg.goal.interval_steps}
    callbacks = [
        instantiate(cfg.pruning),
        *(instantiate(callback) for callback in cfg.callbacks.values()),
        Record(folder, about),
        StudyProgress(f"batch_size={cfg.batch_size} sparsity={cfg.sparsity}"),
        StudyCheckpoint(checkpoint, timedelta(minutes=1)),
    ]
    logger = instantiate(cfg.logger) if cfg.get("logger") else False
    trainer: pl.Trainer = instantiate(cfg.trainer, callbacks=callbacks, logger=logger)
    return trainer


def _launch_ranks(cfg: DictConfig) -> None:
    """Start one process a device on the job's own configuration, so that a sweep is not started again in each."""
    folder = Path(cfg.folder)
    job = folder / ".hydra" / ownership.checkpoint_path(folder, check.trials_of(cfg)).with_suffix(".yaml").name
    OmegaConf.save(cfg, job)
    ranks = ["torch.distributed.run", "--standalone", f"--nproc-per-node={cfg.trainer.devices}"]
    done = subprocess.run([sys.executable, "-m", *ranks, "-m", "dps.engine.fit", str(job)], check=False)
    if done.returncode:
        raise RuntimeError(f"trainer.devices={cfg.trainer.devices}: a rank failed with exit code {done.returncode}")


def quieten_lightning() -> None:
    """Keep Lightning's advice and a warning that do not concern the user off the terminal."""
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", ".*LeafSpec.*", FutureWarning)  # Lightning's own, with torch 2.15


if __name__ == "__main__":
    fit(OmegaConf.load(sys.argv[1]))  # type: ignore[arg-type]
