"""The LightningModule: one study's trials, trained together step by step."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any, NamedTuple

import pytorch_lightning as pl
import torch
import torch.distributed
from hydra.utils import instantiate
from omegaconf import OmegaConf
from torch import Tensor

from dps.data import StudyData
from dps.engine.study import Study, Trial
from dps.models import StackedModel
from dps.protocol.metaparameters import OWNERS
from dps.protocol.outcome import Outcome
from dps.stack.optimizer import StackOptimizer
from dps.stack.shape import SliceShape
from dps.stack.stack import Stack
from dps.storage.ownership import differences


class Check(NamedTuple):
    """A goal check as it was run: of how many trials, its seconds, the examples read of each on average.

    `failed` trials did not reach the goal, and `read_by_failed` examples were read of them in all.
    """

    trials: int
    seconds: float
    examples_read: float
    failed: int
    read_by_failed: int


class StudyTask(pl.LightningModule):
    """Trains a stack of trials, one optimizer step a batch; callbacks prune it, check the goal and end it.

    `trials` are those of the study that are to be trained, and `shape` chooses the stack's slices for the training
    images (N, C, H, W). `outcomes` gathers how each trial ended, by number; `losses` (R,) are those of the latest
    batch, one for each row of the stack; `checks` are the goal checks so far; `doing` says what the study is at.
    """

    stack: Stack

    def __init__(self, study: Study, trials: Sequence[Trial], shape: Callable[[Tensor], SliceShape]):
        super().__init__()
        self.automatic_optimization = False
        self.study, self.trials = study, list(trials)
        self.outcomes: dict[int, Outcome] = {}
        self.losses = torch.empty(0)
        self.checks: list[Check] = []
        self.doing = ""
        self._shape = shape

    @property
    def data(self) -> StudyData:
        """The study's data, on this device."""
        data: StudyData = self.trainer.datamodule  # type: ignore[attr-defined]
        return data

    @property
    def optimizer(self) -> StackOptimizer:
        """The optimizer itself, without Lightning's wrapper."""
        optimizer = self.trainer.optimizers[0]
        assert isinstance(optimizer, StackOptimizer)
        return optimizer

    def setup(self, stage: str) -> None:
        """Build the stack, in the shape that the first rank chooses with the data in place.

        Not in configure_model, for which Lightning makes a GPU the default device: weights are drawn on the CPU.
        """
        images = self.data.train_images
        own = self._shape(images) if self.trainer.is_global_zero else None
        shape = self.trainer.strategy.broadcast(own)
        assert shape is not None
        model = StackedModel(self.study.model, images, shape.products)
        if (classes := self.data.classes) > model.classes:
            raise ValueError(f"model: it tells {model.classes} classes apart, and the data have {classes}")
        seeds = {trial["trial"]: trial["seed"] for trial in self.trials}
        sizes = (shape.trials_per_slice, shape.examples_per_pass)
        self.stack = Stack(model, seeds, *sizes, images.dtype, self._of_trials("label_smoothing"))

    def _of_trials(self, metaparameter: str) -> dict[int, float] | None:
        """Its value for each trial by number; None where the study does without."""
        if all(one.name != metaparameter for one in self.study.metaparameters):
            return None
        return {trial["trial"]: float(trial[metaparameter]) for trial in self.trials}

    def configure_optimizers(self) -> StackOptimizer:
        """One optimizer over all slices, every trial with its own metaparameters."""
        rows = len(self.stack.rows)
        columns: dict[str, dict[str, list[float]]] = {owner: {} for owner in OWNERS}
        for one in self.study.metaparameters:
            values = [float(trial[one.name]) for trial in self.trials]
            columns[one.owner][one.name] = (values + [one.idle] * rows)[:rows]
        named = instantiate(self.study.cfg.lr_schedule)
        # The function itself: each call of Hydra's own partial checks its policy, which takes half a millisecond.
        schedule = partial(named.func, **{**named.keywords, **columns["lr_schedule"]})
        slices = [list(part.weights) for part in self.stack.slices]
        make = instantiate(self.study.cfg.optimizer)
        optimizer: StackOptimizer = make(slices, lr_schedule=schedule, **columns["optimizer"])
        return optimizer

    def training_step(self, batch: tuple[Tensor, Tensor], batch_index: int) -> None:
        """One step of every trial on the same batch: images (b, C, H, W) and labels (b,), this rank's share."""
        optimizer = self.optimizers()
        self.losses = self.stack.backward(*batch)
        self._average_gradients()
        optimizer.step()  # type: ignore[union-attr]
        optimizer.zero_grad()  # type: ignore[union-attr]

    def _average_gradients(self) -> None:
        """Over the ranks, each of which has the mean gradient over an equal share of the batch."""
        if self.trainer.world_size == 1:
            return
        gradients = [weights.grad for weights in self.stack.parameters() if weights.grad is not None]
        every = torch.cat([gradient.flatten() for gradient in gradients])  # NCCL takes contiguous tensors alone
        torch.distributed.all_reduce(every)
        every /= self.trainer.world_size
        for gradient, mean in zip(gradients, every.split([one.numel() for one in gradients]), strict=True):
            gradient.copy_(mean.view_as(gradient))

    def mistakes(self, rows: Sequence[int], images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Whether each trial is wrong on each example (rows, N), and whether all its logits are finite (rows,)."""
        with self.trainer.precision_plugin.forward_context():
            return self.stack.mistakes(rows, images, labels)

    def finite(self) -> list[bool]:
        """For each row, whether loss, logits and weights have stayed finite, on every rank's share of the batches."""
        rows = self.stack.finite()
        if self.trainer.world_size == 1:
            return rows
        flags = torch.tensor(rows, dtype=torch.int32, device=self.device)
        torch.distributed.all_reduce(flags, torch.distributed.ReduceOp.MIN)
        return [bool(flag) for flag in flags.tolist()]

    def finish(self, outcomes: Mapping[int, Outcome]) -> None:
        """Note how trials ended, and let them leave the stack."""
        self.outcomes |= outcomes
        self.optimizer.follow(*self.stack.retire(list(outcomes)))

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add to a checkpoint whose it is, which trial is in which row, and how the finished ones ended."""
        checkpoint["configuration"] = OmegaConf.to_container(self.study.cfg, resolve=True)
        checkpoint["stack"] = {
            "trials": [dict(trial) for trial in self.trials],
            "rows": self.stack.rows,
            "trials_per_slice": self.stack.trials_per_slice,
            "pruned": len(self.stack.slices[0].masks) > 0,
            "outcomes": {trial: asdict(outcome) for trial, outcome in self.outcomes.items()},
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take the saved stack's layout, before Lightning loads its values; ValueError if it is not of these trials."""
        saved = checkpoint["stack"]
        self._refuse_other(checkpoint["configuration"], saved["trials"])
        if saved["trials_per_slice"] != self.stack.trials_per_slice:
            here, there = self.stack.trials_per_slice, saved["trials_per_slice"]
            path = self.study.checkpoint
            raise ValueError(f"stack.trials_per_slice={here} must be {there}, with which {path} was written")
        self.stack.lay_out(saved["rows"], saved["pruned"])
        self.outcomes = {trial: Outcome(**outcome) for trial, outcome in saved["outcomes"].items()}

    def _refuse_other(self, configuration: Mapping[str, Any], trials: Sequence[Trial]) -> None:
        """ValueError unless a checkpoint of this configuration and these trials is the study's own."""
        path, options = self.study.checkpoint, {one.name: one.option for one in self.study.metaparameters}
        here = OmegaConf.to_container(self.study.cfg, resolve=True)
        if different := differences(configuration, here, list(options.values())):
            raise ValueError(f"{path} is of another configuration ({', '.join(different)}): remove it")
        trained = [trial["trial"] for trial in trials]
        if lost := [trial["trial"] for trial in self.study.missing() if trial["trial"] not in trained]:
            raise ValueError(
                f"{path} does not train trial {lost[0]}, which is not recorded any more: remove it, and the same "
                "command starts its trials again"
            )
        asked = {trial["trial"]: trial for trial in self.trials}
        for trial in trials:
            for name, value in trial.items():
                if (now := asked.get(trial["trial"], {}).get(name)) != value:
                    raise ValueError(
                        f"{options.get(name, name)}={now} is not what {path} trains trial {trial['trial']} with, which "
                        f"is {value}: give the same, or remove the checkpoint"
                    )
