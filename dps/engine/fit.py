"""Training a study: instantiate what its configuration names, and fit it, from its checkpoint if there is one."""

import logging
import math
import warnings
from collections.abc import Callable
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from hydra.utils import instantiate
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from omegaconf import OmegaConf
from torch import Tensor

from dps.engine import devices, tracking
from dps.engine.checkpoint_io import StudyCheckpoints
from dps.engine.environment import environment
from dps.engine.launch import launch
from dps.engine.memory import keep_freed_memory
from dps.engine.module import StudyTask
from dps.engine.precision import set_precision
from dps.engine.study import Study
from dps.stack import shape
from dps.stack.shape import SliceShape, slice_shape
from dps.storage import checkpoints, environments, files

log = logging.getLogger(__name__)


def fit(study: Study) -> None:
    """Train the trials that the study's folder lacks, in this process or in one process for each of several devices."""
    devices.check(study.cfg.trainer)
    if study.cfg.trainer.devices > 1:
        launch(study)
    else:
        fit_here(study)


def fit_here(study: Study) -> pl.Trainer:
    """Train the missing trials in this process, as the rank it is; the trainer comes back with its task."""
    quieten_lightning()
    keep_freed_memory()
    set_precision(study.cfg.precision, study.cfg.trainer.accelerator)
    torch.backends.cudnn.deterministic = True  # a resumed study repeats its bits, on a GPU too
    saved = study.checkpoint if checkpoints.exists(study.checkpoint) else None
    trainer = _trainer(study)
    trials = study.missing() if saved is None else study.trials
    task = StudyTask(study, trials, partial(_shape, study, len(trials)))
    if trainer.is_global_zero:
        if study.cfg.trainer.precision == "bf16-mixed":
            log.warning("trainer.precision=bf16-mixed is not the study's protocol, which is 32-true: K* may differ")
        _note(study.folder, environment(trainer))
    with tracking.closing(trainer.loggers):
        trainer.fit(task, datamodule=study.data(), ckpt_path=saved, weights_only=True)
        if task.global_step < study.cfg.max_steps and task.stack.running():
            raise RuntimeError(f"training stopped at step {task.global_step}, before its trials had ended")
        steps_to_result = study.steps_to_result()
        found = {"steps_to_result": math.nan if steps_to_result is None else steps_to_result}
        for logger in trainer.loggers:
            logger.log_metrics(found, step=task.global_step)
    if trainer.is_global_zero and (lost := study.missing()):
        raise RuntimeError(f"{len(lost)} trials have ended and are not recorded")
    return trainer


def _note(folder: Path, here: environments.Environment) -> None:
    """Record where this process trains, and say so where the study's slices were measured on another device."""
    earlier = environments.read(folder)
    if earlier and earlier[-1].get("device") != here["device"] and shape.recorded(folder):
        kept = "this study keeps the slices that were fastest on %s: remove %s to have them measured on %s"
        log.warning(kept, earlier[-1].get("device"), folder / shape.FILE, here["device"])
    environments.note(folder, here)


def _shape(study: Study, trials: int, images: Tensor) -> SliceShape:
    given = {name: value for name, value in study.cfg.stack.items() if value is not None}
    batch_size_per_rank = study.cfg.batch_size // study.cfg.trainer.devices
    return _recorded(study.folder, given, lambda: slice_shape(study.model, images, batch_size_per_rank, trials))


def _recorded(folder: Path, given: dict[str, Any], measure: Callable[[], SliceShape]) -> SliceShape:
    """The study's slice shape: that of its first start, so that every later job and start repeats its arithmetic."""
    path = folder / shape.FILE
    with files.lock(folder):
        if kept := shape.recorded(folder):
            for name, value in given.items():
                if value != (own := getattr(kept, name)):
                    log.warning("stack.%s=%s is ignored: the study keeps %s, its first", name, value, own)
            return kept
        first = SliceShape(**given) if len(given) == len(fields(SliceShape)) else replace(measure(), **given)
        path.parent.mkdir(exist_ok=True)
        files.write_atomically(path, OmegaConf.to_yaml(vars(first)))
        return first


def _trainer(study: Study) -> pl.Trainer:
    """Lightning's trainer with the study's callbacks; what it is told here is the protocol's, and no option."""
    cfg = study.cfg
    callbacks = [cfg.pruning, *cfg.callbacks.values(), *cfg.bookkeeping.values()]
    trainer: pl.Trainer = instantiate(
        cfg.trainer,
        callbacks=[instantiate(callback) for callback in callbacks],
        # Not the environment that Lightning finds: in a job of SLURM that would save and requeue by itself.
        plugins=[LightningEnvironment(), StudyCheckpoints()],
        default_root_dir=study.folder,
        logger=tracking.trackers(study),
        max_steps=cfg.max_steps,
        max_epochs=-1,
        limit_val_batches=0,
        num_sanity_val_steps=0,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )
    return trainer


def quieten_lightning() -> None:
    """Keep Lightning's advice, and warnings that do not concern the user, off the terminal."""
    for name in ("pytorch_lightning", "lightning_fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", "GPU available but not used")
    warnings.filterwarnings("ignore", ".*LeafSpec.*", FutureWarning)  # Lightning's own, with torch 2.15
