"""The stack: the trials of one study as one model, held and worked in slices of fixed shape.

A trial's trajectory depends on its own weights, its metaparameters, the batches and the shape of a slice, and on
nothing else: a short slice is padded with idle rows, and a row's arithmetic is the same wherever in a slice it sits
and whatever its neighbours do.

Shapes: S trials in a slice, R rows in all slices (R >= the number of trials), B batch, N examples, C classes.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor, nn

from dps.models import StackedModel, Weights
from dps.models.loss import mean_losses
from dps.stack.slice import Slice

Place = tuple[int, int]  # a slice, and a row in it


class Retired(NamedTuple):
    """What changed in the stack as trials left it, in this order: rows laid to rest, rows moved, last slices gone."""

    stopped: list[Place]
    moved: list[tuple[Place, Place]]
    dropped_slices: int


class Stack(nn.Module):
    """All trials of one study; `rows[r]` is the number of the trial in row r, or None where the row is idle.

    `seeds` has by number the seed of a trial's initial weights, and `label_smoothing` that of each trial's loss, None
    where no trial has any.
    """

    def __init__(
        self,
        model: StackedModel,
        seeds: Mapping[int, int],
        trials_per_slice: int,
        examples_per_pass: int,
        dtype: torch.dtype = torch.float32,
        label_smoothing: Mapping[int, float] | None = None,
    ):
        super().__init__()
        self.model, self.trials_per_slice, self.examples_per_pass = model, trials_per_slice, examples_per_pass
        own, initial = list(seeds), lru_cache(maxsize=1)(model.initial)  # drawn once for neighbours of one seed
        shares = [own[first : first + trials_per_slice] for first in range(0, len(own), trials_per_slice)]
        self._slices = nn.ModuleList(
            Slice(
                [initial(seeds[trial]) for trial in share],
                trials_per_slice,
                dtype,
                None if label_smoothing is None else [label_smoothing[trial] for trial in share],
            )
            for share in shares
        )
        self._networks: list[Callable[[Tensor], Tensor]] = []  # of the slices, made when they are where they will run
        self.rows: list[int | None] = [*seeds, *[None] * (len(shares) * trials_per_slice - len(seeds))]

    @property
    def slices(self) -> list[Slice]:
        """The slices in order: rows 0 to S - 1 lie in the first."""
        return list(self._slices)  # type: ignore[arg-type]

    def place(self, row: int) -> Place:
        """Where row `row` lies: (slice, row in the slice)."""
        return divmod(row, self.trials_per_slice)

    def running(self) -> dict[int, int]:
        """The row of every trial that has not left the stack."""
        return {trial: row for row, trial in enumerate(self.rows) if trial is not None}

    def weights_by_trial(self) -> dict[int, Weights]:
        """The weights of each running trial by parameter name, views (1, ...) of a stack of one."""
        return {trial: self._of_row(row, lambda part: part.weights) for trial, row in self.running().items()}

    def masks_of(self, trial: int) -> Weights:
        """The masks of a running trial by parameter name (1, ...); empty where trials are dense."""
        return self._of_row(self.running()[trial], lambda part: part.masks)

    def _of_row(self, row: int, held: Callable[[Slice], nn.ParameterList]) -> Weights:
        index, inner = self.place(row)
        views = [values.data[inner : inner + 1] for values in held(self.slices[index])]
        return dict(zip(self.model.names, views, strict=False))

    def prune(self, masks: Mapping[int, Mapping[str, Tensor]]) -> None:
        """Prune each trial by its masks, by parameter name (1, ...)."""
        rows = self.running()
        for index, part in enumerate(self.slices):
            stacked = [torch.zeros_like(weights) for weights in part.weights]
            for trial, row in rows.items():
                if self.place(row)[0] == index:
                    for name, mask in zip(self.model.names, stacked, strict=True):
                        mask[self.place(row)[1]] = masks[trial][name][0]
            part.prune(stacked)

    def _logits(self, weights: Sequence[Tensor], images: Tensor) -> Tensor:
        """(S, B, C) logits of S models with weights (S, ...) on the same images."""
        return self.model.logits(dict(zip(self.model.names, weights, strict=True)), images)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "Stack":
        self._networks = []  # the weights that they hold are about to be replaced
        return super()._apply(fn, recurse)

    def backward(self, images: Tensor, labels: Tensor) -> Tensor:
        """Add every trial's gradient of its mean loss over the batch to the weights' .grad; returns that loss (R,)."""
        losses, slices = [], self.slices
        if not self._networks:
            self._networks = [self.model.bound(list(part.weights)) for part in slices]
        for part, network in zip(slices, self._networks, strict=False):
            losses.append(self._backward_slice(part, network, images, labels))
            part.mask_gradients()
        return torch.cat(losses) if len(losses) > 1 else losses[0]

    def _backward_slice(
        self, part: Slice, network: Callable[[Tensor], Tensor], images: Tensor, labels: Tensor
    ) -> Tensor:
        total = None
        for some_images, some_labels in self._passes(images, labels):
            logits = network(some_images)
            losses = mean_losses(logits, some_labels, part.label_smoothing)
            if len(some_labels) < len(labels):
                losses = losses * (len(some_labels) / len(labels))
            zero = logits.detach().flatten(1).mul(0).sum(1) + losses.detach().mul(0)  # or NaN: 0 times infinity is NaN
            part.finite &= zero == 0
            losses.backward(torch.ones_like(losses))
            total = losses.detach() if total is None else total + losses.detach()
        assert total is not None
        return total

    def _passes(self, images: Tensor, labels: Tensor) -> Iterable[tuple[Tensor, Tensor]]:
        if len(labels) <= self.examples_per_pass:
            return [(images, labels)]
        return zip(images.split(self.examples_per_pass), labels.split(self.examples_per_pass), strict=True)

    @torch.no_grad()
    def mistakes(self, rows: Sequence[int], images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Whether each trial is wrong on each example (rows, N), and whether all its logits are finite (rows,)."""
        logits = torch.stack((self._by_slice if images.is_cuda else self._by_row)(rows, images))
        return logits.argmax(2) != labels, logits.isfinite().all(2).all(1)

    def _by_row(self, rows: Sequence[int], images: Tensor) -> list[Tensor]:
        """Logits (N, C) of each row, one pass for each: a CPU gains nothing from stacking tens of examples."""
        places = [self.place(row) for row in rows]
        weights = [[w[inner : inner + 1] for w in self.slices[index].weights] for index, inner in places]
        return [self._logits(row_weights, images)[0] for row_weights in weights]

    def _by_slice(self, rows: Sequence[int], images: Tensor) -> list[Tensor]:
        """Logits (N, C) of each row, one pass for each slice, with every row of it, so that none depends on `rows`."""
        places = [self.place(row) for row in rows]
        held = {index for index, _ in places}
        slices = {index: self._logits(tuple(self.slices[index].weights), images) for index in held}
        return [slices[index][inner] for index, inner in places]

    @torch.no_grad()
    def finite(self) -> list[bool]:
        """For each row, whether loss and logits of every batch so far, and the weights now, are finite."""
        rows = []
        for part in self.slices:
            weights_finite = [weights.flatten(1).isfinite().all(1) for weights in part.weights]
            rows.append(torch.stack([part.finite, *weights_finite]).all(0))
        return [bool(finite) for finite in torch.cat(rows).tolist()]

    @torch.no_grad()
    def retire(self, trials: Sequence[int]) -> Retired:
        """Take finished trials out: while the last slice's trials fit the idle rows of the others, they move there."""
        stopped: list[Place] = []
        moved: list[tuple[Place, Place]] = []
        slices = len(self._slices)
        for trial in trials:
            row = self.rows.index(trial)
            self.rows[row] = None
            stopped.append(self.place(row))
            for tensor in self.slices[stopped[-1][0]].rows():
                tensor[stopped[-1][1]] = 0
        while len(self._slices) > 1 and self.rows.count(None) >= self.trials_per_slice:
            kept = len(self.rows) - self.trials_per_slice
            for row in range(kept, len(self.rows)):
                if self.rows[row] is not None:
                    moved.append(self._move(row, self.rows.index(None)))
            del self._slices[-1], self._networks[len(self._slices) :], self.rows[kept:]
        return Retired(stopped, moved, slices - len(self._slices))

    def lay_out(self, rows: Sequence[int | None], pruned: bool) -> None:
        """Take the shape of a saved stack, whose values are loaded next."""
        self.rows = list(rows)
        del self._slices[len(rows) // self.trials_per_slice :]
        for part in self.slices:
            if pruned:
                part.prune([torch.ones_like(weights) for weights in part.weights])

    def _move(self, source: int, target: int) -> tuple[Place, Place]:
        old, new = self.place(source), self.place(target)
        for tensor_from, tensor_to in zip(self.slices[old[0]].rows(), self.slices[new[0]].rows(), strict=True):
            tensor_to[new[1]] = tensor_from[old[1]]
        self.rows[target], self.rows[source] = self.rows[source], None
        return old, new
