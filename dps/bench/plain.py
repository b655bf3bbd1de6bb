"""The plain way, as a careful user writes it with stock Lightning: a trial at a time, a DataLoader, full validation."""

import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from typing import Any

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from hydra.utils import instantiate
from omegaconf import DictConfig
from torch import Tensor, nn
from torch.utils.data import DataLoader, Sampler, TensorDataset

from dps.data.stream import Stream
from dps.data.study_data import StudyData
from dps.models import initialise
from dps.protocol.goal import allowed_mistakes


class StreamBatches(Sampler[list[int]]):
    """The study's own order of examples, as indices for a DataLoader."""

    def __init__(self, stream: Stream):
        self.stream = stream

    def __iter__(self) -> Iterator[list[int]]:
        return (self.stream.indices(step).tolist() for step in count())


class PlainTrial(pl.LightningModule):
    """One trial: automatic optimization with torch.optim.SGD, and the whole validation set at every check."""

    def __init__(
        self,
        model: nn.Module,
        masks: Mapping[str, Tensor],
        lr: float,
        momentum: float,
        nesterov: bool,
        goal_error: float,
    ):
        super().__init__()
        self.model, self.lr, self.momentum, self.nesterov, self.goal_error = model, lr, momentum, nesterov, goal_error
        for name, parameter in model.named_parameters():
            if name in masks:
                mask = masks[name].to(parameter)
                parameter.data *= mask
                parameter.register_hook(lambda gradient, mask=mask: gradient * mask)
        self.steps_to_result: int | None = None
        self.check_seconds: list[float] = []

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """torch's own SGD, Momentum or Nesterov; Nesterov without momentum, which torch refuses, is SGD."""
        nesterov = self.nesterov and self.momentum > 0
        return torch.optim.SGD(self.parameters(), self.lr, self.momentum, nesterov=nesterov)

    def training_step(self, batch: Sequence[Tensor], _: int) -> Tensor:
        """Mean cross-entropy of images (B, C, H, W) and labels (B,)."""
        return F.cross_entropy(self.model(batch[0]), batch[1])

    def on_validation_start(self) -> None:
        """Start counting."""
        self.wrong, self.examples, self._start = 0, 0, time.perf_counter()

    def validation_step(self, batch: Sequence[Tensor], _: int) -> None:
        """Count mistakes."""
        self.wrong += int((self.model(batch[0]).argmax(1) != batch[1]).sum())
        self.examples += len(batch[1])

    def on_validation_end(self) -> None:
        """Stop at the goal."""
        self.check_seconds.append(time.perf_counter() - self._start)
        if self.wrong <= allowed_mistakes(self.goal_error, self.examples):
            self.steps_to_result = self.trainer.global_step
            self.trainer.should_stop = True


def clock() -> float:
    """Seconds, once a GPU has done all that was asked of it."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


class StopAfter(pl.Callback):
    """Ends training `seconds` after step `warm_up`, and knows the mean seconds of a step in between."""

    def __init__(self, seconds: float, warm_up: int = 3):
        self.seconds, self.warm_up = seconds, warm_up

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        """Look at the clock; in between, steps may be asked of a GPU before it has done the last, as in a study."""
        step = trainer.global_step
        if step == self.warm_up:
            self._start = clock()
        elif step >= self.warm_up + 5 and time.perf_counter() - self._start > self.seconds:
            self.seconds_a_step = (clock() - self._start) / (step - self.warm_up)
            trainer.should_stop = True


def plain_loader(data: StudyData) -> DataLoader[Any]:
    """The study's stream of batches, from a DataLoader over tensors in host memory."""
    stream = Stream(len(data.train_labels), data.batch_size, data.seed, torch.device("cpu"))
    dataset = TensorDataset(data.train_images.cpu(), data.train_labels.cpu())
    return DataLoader(dataset, batch_sampler=StreamBatches(stream))


def fit_plain(
    cfg: DictConfig,
    data: StudyData,
    trial: Mapping[str, Any],
    masks: Mapping[str, Tensor],
    trainer_options: Mapping[str, Any],
    goal_error: float,
) -> tuple[PlainTrial, pl.Trainer]:
    """Train one trial the plain way, on data that have been set up; the caller's options say for how long."""
    model: nn.Module = instantiate(cfg.model)
    initialise(model, trial["seed"])
    momentum, nesterov = trial.get("momentum", 0.0), cfg.optimizer.get("nesterov", False)
    task = PlainTrial(model.to(data.train_images), masks, trial["lr"], momentum, nesterov, goal_error)
    validation = DataLoader(TensorDataset(data.validation_images.cpu(), data.validation_labels.cpu()), batch_size=1000)
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "logger": False, "num_sanity_val_steps": 0}
    trainer = pl.Trainer(**{**quiet, "enable_checkpointing": False, "max_epochs": -1, **trainer_options})
    trainer.fit(task, plain_loader(data), validation)
    return task, trainer
