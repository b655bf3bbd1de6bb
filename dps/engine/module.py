"""The LightningModule: one study's trials, trained together step by step."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

import pytorch_lightning as pl
import torch
import torch.distributed
from torch import Tensor, nn

from dps.data.study_data import StudyData
from dps.engine.check import PER_TRIAL
from dps.protocol.goal import Outcome
from dps.stack.sgd import SGD
from dps.stack.shape import SliceShape
from dps.stack.stack import Trials


class StudyTask(pl.LightningModule):
    """Trains a stack of trials, one optimizer step a batch; callbacks prune it, check the goal and end it.

    `model` builds one trial's model, and `shape` chooses the stack's slices for the training images (N, C, H, W).
    `metaparameters` holds, for each trial, its number (which is its seed) and its lr, momentum, decay_steps,
    end_factor as far as the optimizer and the schedule have them. `outcomes` gathers how each trial ended, by number;
    `losses` (R,) are those of the latest batch, one for each row of the stack.
    """

    def __init__(
        self,
        model: Callable[[], nn.Module],
        optimizer: Callable[..., SGD],
        lr_schedule: Callable[..., Any],
        metaparameters: Sequence[Mapping[str, Any]],
        shape: Callable[[Tensor], SliceShape],
    ):
        super().__init__()
        self.automatic_optimization = False
        self.metaparameters = list(metaparameters)
        self.outcomes: dict[int, Outcome] = {}
        self.losses = torch.empty(0)
        self._model, self._optimizer, self._lr_schedule, self._shape = model, optimizer, lr_schedule, shape

    @property
    def data(self) -> StudyData:
        """The study's data, on this device."""
        data: StudyData = self.trainer.datamodule  # type: ignore[attr-defined]
        return data

    @property
    def sgd(self) -> SGD:
        """The optimizer itself, without Lightning's wrapper."""
        optimizer = self.trainer.optimizers[0]
        assert isinstance(optimizer, SGD)
        return optimizer

    def configure_model(self) -> None:
        """Build the stack, in the shape that the first rank chooses with the data in place."""
        own = self._shape(self.data.train_images) if self.trainer.is_global_zero else None
        shape = self.trainer.strategy.broadcast(own)
        assert shape is not None
        seeds = [row["trial"] for row in self.metaparameters]
        self.trials = Trials(self._model(), seeds, **vars(shape))

    def configure_optimizers(self) -> SGD:
        """One SGD over all slices, every trial with its own metaparameters."""
        columns = {name: [row[name] for row in self.metaparameters] for name in self.metaparameters[0]}
        columns.pop("trial")
        decay = {name: columns.pop(name) for name in ("decay_steps", "end_factor") if name in columns}
        slices = [list(part.weights) for part in self.trials.parts]
        return self._optimizer(slices, lr_schedule=partial(self._lr_schedule, **decay), **columns)

    def training_step(self, batch: tuple[Tensor, Tensor], batch_index: int) -> None:
        """One step of every trial on the same batch: images (b, C, H, W) and labels (b,), this rank's share."""
        optimizer = self.optimizers()
        self.losses = self.trials.backward(*batch, backward=self.manual_backward)
        self._average_gradients()
        optimizer.step()  # type: ignore[union-attr]
        optimizer.zero_grad()  # type: ignore[union-attr]

    def _average_gradients(self) -> None:
        """Over the ranks, each of which has the mean gradient over an equal share of the batch."""
        if self.trainer.world_size == 1:
            return
        for weights in self.trials.parameters():
            if weights.grad is not None:
                torch.distributed.all_reduce(weights.grad)
                weights.grad /= self.trainer.world_size

    def mistakes(self, rows: Sequence[int], images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Whether each trial is wrong on each example (rows, N), and whether all its logits are finite (rows,)."""
        with self.trainer.precision_plugin.forward_context():
            return self.trials.mistakes(rows, images, labels)

    def finish(self, outcomes: Mapping[int, Outcome]) -> None:
        """Note how trials ended, and let them leave the stack."""
        self.outcomes |= outcomes
        self.trials.retire(list(outcomes), self.sgd)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add to a checkpoint which trial is in which row, and how the finished ones ended."""
        checkpoint["stack"] = {
            "metaparameters": [dict(row) for row in self.metaparameters],
            "rows": self.trials.rows,
            "pruned": len(self.trials.parts[0].masks) > 0,
            "outcomes": {trial: asdict(outcome) for trial, outcome in self.outcomes.items()},
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take the saved stack's layout, before Lightning loads its values; ValueError if it is not of these trials."""
        stack = checkpoint["stack"]
        asked = {row["trial"]: row for row in self.metaparameters}
        for saved in stack["metaparameters"]:
            for name, value in saved.items():
                if (now := asked.get(saved["trial"], {}).get(name)) != value:
                    raise ValueError(
                        f"{PER_TRIAL.get(name, name)}={now} is not what the study's checkpoint trains trial "
                        f"{saved['trial']} with, which is {value}: give the same, or remove the checkpoint"
                    )
        self.trials.lay_out(stack["rows"], stack["pruned"])
        self.outcomes = {trial: Outcome(**outcome) for trial, outcome in stack["outcomes"].items()}
