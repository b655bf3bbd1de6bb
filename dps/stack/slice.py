"""A slice of the stack: trials that are worked in one pass, always the same number of them.

Shapes: S trials; an entry of the leading axis is a row.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn


class Slice(nn.Module):
    """S trials: their weights (S, ...), the masks of the weights that take part, and whether each has stayed finite."""

    def __init__(
        self,
        initial: Sequence[Sequence[Tensor]],
        rows: int,
        dtype: torch.dtype,
        label_smoothing: Sequence[float] | None = None,
    ):
        """`initial` holds the weights of each trial, `rows` (S) at most, in the order of the model's parameters.

        `label_smoothing` is that of each trial's loss, None where none has any.
        """
        super().__init__()
        stacked = [_empty_rows(rows, weights.to(dtype)) for weights in initial[0]]
        for row, own in enumerate(initial):
            for weights, values in zip(stacked, own, strict=True):
                weights[row] = values
        self.weights = nn.ParameterList(nn.Parameter(weights) for weights in stacked)
        self.masks = nn.ParameterList()
        self.register_buffer("finite", torch.ones(rows, dtype=torch.bool))
        self.finite: Tensor
        padded = None if label_smoothing is None else [*label_smoothing, *[0.0] * (rows - len(label_smoothing))]
        smoothing = None if padded is None else torch.tensor(padded, dtype=torch.float64)
        self.register_buffer("label_smoothing", smoothing)
        self.label_smoothing: Tensor | None

    @torch.no_grad()
    def prune(self, masks: Sequence[Tensor]) -> None:
        """Take out of the model, for good, every weight whose mask (S, ...) is 0; a mask holds 0 and 1 alone."""
        for weights, mask in zip(self.weights, masks, strict=True):
            if not ((mask == 0) | (mask == 1)).all():
                raise AssertionError("a mask holds a value other than 0 and 1")
            weights.mul_(mask.to(weights))
        self.masks = nn.ParameterList(
            nn.Parameter(mask.to(weights), requires_grad=False)
            for weights, mask in zip(self.weights, masks, strict=True)
        )

    def has_moved_pruned(self) -> bool:
        """Whether a weight that was taken out of the model has a value again, in a trial that has not diverged."""
        pairs = zip(self.weights, self.masks, strict=False)
        return any(bool(((mask == 0) & (weights.abs() > 0)).any()) for weights, mask in pairs)

    def mask_gradients(self) -> None:
        """Zero the gradients of pruned weights, so that neither they nor their velocity ever move."""
        for weights, mask in zip(self.weights, self.masks, strict=False):
            if weights.grad is not None:  # of a weight that the network does not use
                weights.grad.mul_(mask)

    def rows(self) -> Iterator[Tensor]:
        """Every tensor that has one entry for each of the S rows."""
        yield from (weights.data for weights in self.weights)
        yield from (mask.data for mask in self.masks)
        yield self.finite
        if self.label_smoothing is not None:
            yield self.label_smoothing


def _empty_rows(rows: int, parameter: Tensor) -> Tensor:
    """Zeros (S, *shape); a convolution's in the memory order in which it runs: S, O, K, K, C."""
    if parameter.ndim == 4:
        parameter = parameter.permute(0, 2, 3, 1)
        return torch.zeros(rows, *parameter.shape, dtype=parameter.dtype).permute(0, 1, 4, 2, 3)
    return torch.zeros(rows, *parameter.shape, dtype=parameter.dtype)
