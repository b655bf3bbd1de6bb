"""The stack: the trials of one study as one model, held and worked in slices of fixed shape.

A trial's trajectory depends on its own weights, its metaparameters, the batches and the shape of a slice, and on
nothing else: a short slice is padded with idle rows, and a row's arithmetic is the same wherever in a slice it sits
and whatever its neighbours do.

Shapes: S trials in a slice, R rows in all slices (R >= the number of trials), B batch, N examples, C classes.
"""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call

from dps.models.layers import Conv2d
from dps.models.loss import mean_losses
from dps.stack.sgd import SGD
from dps.stack.slice import Slice


class Trials(nn.Module):
    """All trials of one study; `rows[r]` is the number of the trial in row r, or None where the row is idle."""

    def __init__(
        self,
        model: nn.Module,
        seeds: Sequence[int],
        trials_per_slice: int,
        examples_per_pass: int,
        products: bool = False,
    ):
        super().__init__()
        for layer in model.modules():
            if isinstance(layer, Conv2d):
                layer.products = products
        self.trials_per_slice, self.examples_per_pass = trials_per_slice, examples_per_pass
        parts = [seeds[first : first + trials_per_slice] for first in range(0, len(seeds), trials_per_slice)]
        self.slices = nn.ModuleList(Slice(model, part, trials_per_slice) for part in parts)
        self.rows: list[int | None] = [*seeds, *[None] * (len(parts) * trials_per_slice - len(seeds))]
        self.names = [name for name, _ in model.named_parameters()]
        self._model = (model.to("meta"),)  # in a tuple, so that its empty parameters are not this module's

    @property
    def parts(self) -> list[Slice]:
        """The slices in order: rows 0 to S - 1 lie in the first."""
        return list(self.slices)  # type: ignore[arg-type]

    def place(self, row: int) -> tuple[int, int]:
        """Where row `row` lies: (slice, row in the slice)."""
        return divmod(row, self.trials_per_slice)

    def running(self) -> dict[int, int]:
        """The row of every trial that has not left the stack."""
        return {trial: row for row, trial in enumerate(self.rows) if trial is not None}

    @property
    def model(self) -> nn.Module:
        """One trial's model, its parameters without values."""
        return self._model[0]

    def weights_by_trial(self) -> dict[int, dict[str, Tensor]]:
        """The weights of each running trial by parameter name, views (1, ...) of a stack of one."""
        found = {}
        for trial, row in self.running().items():
            index, inner = self.place(row)
            part = self.parts[index]
            views = [weights.data[inner : inner + 1] for weights in part.weights]
            found[trial] = dict(zip(self.names, views, strict=True))
        return found

    def prune(self, masks: Mapping[int, Mapping[str, Tensor]]) -> None:
        """Prune each trial by its masks, by parameter name (1, ...)."""
        rows = self.running()
        for index, part in enumerate(self.parts):
            stacked = [torch.zeros_like(weights) for weights in part.weights]
            for trial, row in rows.items():
                if self.place(row)[0] == index:
                    for name, mask in zip(self.names, stacked, strict=True):
                        mask[self.place(row)[1]] = masks[trial][name][0]
            part.prune(stacked)

    def logits(self, weights: Sequence[Tensor], images: Tensor) -> Tensor:
        """(S, B, C) logits of S models with weights (S, ...) on the same images."""
        logits: Tensor = functional_call(self.model, dict(zip(self.names, weights, strict=True)), (images,))
        return logits

    def backward(self, images: Tensor, labels: Tensor, backward: Callable[[Tensor], None]) -> Tensor:
        """Add every trial's gradient of its mean loss over the batch to the weights' .grad; returns that loss (R,)."""
        losses = []
        for part in self.parts:
            losses.append(self._backward_slice(part, images, labels, backward))
            part.mask_gradients()
        return torch.cat(losses)

    def _backward_slice(
        self, part: Slice, images: Tensor, labels: Tensor, backward: Callable[[Tensor], None]
    ) -> Tensor:
        passes = zip(images.split(self.examples_per_pass), labels.split(self.examples_per_pass), strict=True)
        total = torch.zeros((), device=images.device)
        for some_images, some_labels in passes:
            logits = self.logits(tuple(part.weights), some_images)
            losses = mean_losses(logits, some_labels) * (len(some_labels) / len(labels))
            part.finite &= losses.isfinite() & logits.isfinite().all(2).all(1)
            backward(losses.sum())
            total = total + losses.detach()
        return total

    @torch.no_grad()
    def mistakes(self, rows: Sequence[int], images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Whether each trial is wrong on each example (rows, N), and whether all its logits are finite (rows,)."""
        logits = torch.stack((self._by_slice if images.is_cuda else self._by_row)(rows, images))
        return logits.argmax(2) != labels, logits.isfinite().all(2).all(1)

    def _by_row(self, rows: Sequence[int], images: Tensor) -> list[Tensor]:
        """Logits (N, C) of each row, one pass for each: a CPU gains nothing from stacking tens of examples."""
        places = [self.place(row) for row in rows]
        weights = [[w[inner : inner + 1] for w in self.parts[index].weights] for index, inner in places]
        return [self.logits(row_weights, images)[0] for row_weights in weights]

    def _by_slice(self, rows: Sequence[int], images: Tensor) -> list[Tensor]:
        """Logits (N, C) of each row, one pass for each slice, with every row of it, so that none depends on `rows`."""
        places = [self.place(row) for row in rows]
        slices = {index: self.logits(tuple(self.parts[index].weights), images) for index, _ in places}
        return [slices[index][inner] for index, inner in places]

    @torch.no_grad()
    def finite(self) -> list[bool]:
        """For each row, whether loss and logits of every batch so far, and the weights now, are finite."""
        rows = []
        for part in self.parts:
            weights_finite = [weights.flatten(1).isfinite().all(1) for weights in part.weights]
            rows.append(torch.stack([part.finite, *weights_finite]).all(0))
        return [bool(finite) for finite in torch.cat(rows).tolist()]

    @torch.no_grad()
    def retire(self, trials: Sequence[int], optimizer: SGD) -> None:
        """Take finished trials out: while the last slice's trials fit the idle rows of the others, they move there."""
        for trial in trials:
            row = self.rows.index(trial)
            self.rows[row] = None
            self._clear(row, optimizer)
        while len(self.slices) > 1 and self.rows.count(None) >= self.trials_per_slice:
            kept = len(self.rows) - self.trials_per_slice
            for row in range(kept, len(self.rows)):
                if self.rows[row] is not None:
                    self._move(row, self.rows.index(None), optimizer)
            del self.slices[-1], self.rows[kept:]
            optimizer.drop_last_slice()

    def lay_out(self, rows: Sequence[int | None], pruned: bool) -> None:
        """Take the shape of a saved stack, whose values are loaded next."""
        self.rows = list(rows)
        del self.slices[len(rows) // self.trials_per_slice :]
        for part in self.parts:
            if pruned:
                part.prune([torch.ones_like(weights) for weights in part.weights])

    def _clear(self, row: int, optimizer: SGD) -> None:
        index, inner = self.place(row)
        part = self.parts[index]
        for tensor in part.rows():
            tensor[inner] = 0
        optimizer.stop_row((index, inner))

    def _move(self, source: int, target: int, optimizer: SGD) -> None:
        old, new = self.place(source), self.place(target)
        tensors = zip(self.parts[old[0]].rows(), self.parts[new[0]].rows(), strict=True)
        for tensor_from, tensor_to in tensors:
            tensor_to[new[1]] = tensor_from[old[1]]
        optimizer.move_row(old, new)
        self.rows[target], self.rows[source] = self.rows[source], None
