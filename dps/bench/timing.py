"""The measurements of the bench: seconds of single steps and passes, and the rates of the machine."""

from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from functools import partial
from typing import Any

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf, open_dict
from torch import nn
from torch.utils.benchmark import Measurement, Timer

from dps.bench.plain import StopAfter, clock, fit_plain, plain_loader
from dps.data import StudyData
from dps.engine.module import StudyTask
from dps.engine.study import Study, Trial
from dps.models import initialise
from dps.stack.shape import slice_shape


def timed(work: Callable[[], Any], seconds: float) -> Measurement:
    """As many repetitions as `seconds` allow, after a warm-up, on the threads of this process."""
    timer = Timer("work()", globals={"work": work}, num_threads=torch.get_num_threads())
    return timer.blocked_autorange(min_run_time=seconds)


def best_seconds(work: Callable[[], Any], seconds: float) -> float:
    """The fastest repetition: what the machine can do."""
    return min(timed(work, seconds).times)


def matrix_product_flops(device: torch.device, seconds: float, size: int = 2048) -> float:
    """Floating-point operations a second in a float32 matrix product."""
    a, b = (torch.randn(size, size, device=device) for _ in range(2))
    return 2 * size**3 / best_seconds(lambda: a @ b, seconds)


def throughput(cfg: DictConfig, data: StudyData, seconds: float) -> dict[str, float]:
    """Examples a second of one model, forward and in training, at the best of several batch sizes."""
    model = _model(cfg, data)
    rates: dict[str, float] = {"forward": 0.0, "train": 0.0}
    for examples in (64, 128, 256, 512):
        images, labels = data.train_images[:examples], data.train_labels[:examples]

        def forward(images: Any = images) -> None:
            with torch.no_grad():
                model(images)

        def train(images: Any = images, labels: Any = labels) -> None:
            torch.autograd.grad(F.cross_entropy(model(images), labels), list(model.parameters()))

        rates["forward"] = max(rates["forward"], len(images) / best_seconds(forward, seconds / 4))
        rates["train"] = max(rates["train"], len(images) / best_seconds(train, seconds / 4))
    return rates


def raw_step_seconds(cfg: DictConfig, data: StudyData, batch_size: int, seconds: float) -> float:
    """A step of one trial in a bare PyTorch loop: gradient and torch.optim.SGD, the batch already at hand."""
    model = _model(cfg, data)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4, momentum=0.9)
    images, labels = data.train_images[:batch_size], data.train_labels[:batch_size]

    def step() -> None:
        optimizer.zero_grad()
        F.cross_entropy(model(images), labels).backward()
        optimizer.step()

    return float(timed(step, seconds).mean)


def plain_step_seconds(cfg: DictConfig, data: StudyData, seconds: float) -> float:
    """A step of one trial the plain way, DataLoader and Lightning included."""
    stop_after, data.batch_size = StopAfter(seconds), cfg.batch_size
    options = {**trainer_options(cfg), "callbacks": [stop_after], "limit_val_batches": 0}
    fit_plain(cfg, data, _slow_trial(cfg), {}, options, goal_error=0)
    return stop_after.seconds_a_step


def plain_check_seconds(cfg: DictConfig, data: StudyData) -> float:
    """A full check of one trial the plain way: the median of five."""
    options = {**trainer_options(cfg), "max_steps": 5, "val_check_interval": 1, "check_val_every_n_epoch": None}
    task, _ = fit_plain(cfg, data, _slow_trial(cfg), {}, options, goal_error=0)
    return sorted(task.check_seconds)[2]


def stack_step_seconds(cfg: DictConfig, data: StudyData, trials: int, seconds: float) -> float:
    """A trial's share of a step of `trials` trials trained our way, data stream and Lightning included."""
    stop_after, data.batch_size = StopAfter(seconds), cfg.batch_size
    study = Study.parse(with_values(cfg, {"trial": list(range(trials)), "optimizer.lr": 1e-4}))
    shape = partial(slice_shape, study.model, batch_size=cfg.batch_size, trials=trials)
    task = StudyTask(study, study.trials, shape)
    trainer = pl.Trainer(**trainer_options(cfg), callbacks=[stop_after], limit_val_batches=0, max_epochs=-1)
    trainer.fit(task, datamodule=data)
    return stop_after.seconds_a_step / trials


def full_check_seconds(cfg: DictConfig, data: StudyData, examples_per_block: int) -> float:
    """A check of one trial that reads every validation example, in blocks as the goal callback does."""
    model, images = _model(cfg, data), data.validation_images

    def check() -> None:
        with torch.no_grad():
            sum(model(block).argmax(1).sum() for block in images.split(examples_per_block))

    return best_seconds(check, cfg.bench.seconds)


def loader_seconds(data: StudyData, batches: int = 50) -> float:
    """A batch of the study's stream from a DataLoader."""
    return _seconds_a_batch(plain_loader(data), batches)


def gather_seconds(data: StudyData, batches: int = 50) -> float:
    """A batch of the study's stream gathered from the tensors on the device."""
    return _seconds_a_batch(data.train_dataloader(), batches)


def _seconds_a_batch(loader: Iterable[Any], batches: int) -> float:
    iterator = iter(loader)
    next(iterator)
    start = clock()
    for _ in range(batches):
        next(iterator)
    return (clock() - start) / batches


def trainer_options(cfg: DictConfig) -> dict[str, Any]:
    """What both ways share of the trainer, silent and without checkpoints."""
    same = ("accelerator", "devices", "precision")
    quiet = ("enable_progress_bar", "enable_model_summary", "enable_checkpointing", "logger")
    return {name: cfg.trainer[name] for name in same} | dict.fromkeys(quiet, False) | {"max_steps": -1}


def with_values(cfg: DictConfig, values: Mapping[str, Any]) -> DictConfig:
    """A resolved copy of an unresolved configuration, with some values set."""
    copy = deepcopy(cfg)
    with open_dict(copy):
        for key, value in values.items():
            OmegaConf.update(copy, key, value)
    OmegaConf.resolve(copy)
    return copy


def _slow_trial(cfg: DictConfig) -> Trial:
    """A trial of the study that can be trained for long without leaving the finite numbers."""
    return Study.parse(with_values(cfg, {"trial": 0, "optimizer.lr": 1e-4})).trials[0]


def _model(cfg: DictConfig, data: StudyData) -> nn.Module:
    model: nn.Module = instantiate(cfg.model)
    initialise(model, 0)
    return model.to(data.train_images)
