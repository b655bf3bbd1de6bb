"""Stochastic gradient descent for a stack of trials, each with metaparameters of its own.

Shapes: S rows in a slice of the stack (the leading axis of every parameter).
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from dps.stack.optimizer import PerRow, StackOptimizer
from dps.stack.schedules import constant


class SGD(StackOptimizer):
    """SGD, Momentum and Nesterov, as torch.optim.SGD without dampening.

    Momentum: v <- m v + g, w <- w - lr v.  Nesterov: v <- m v + g, w <- w - lr (g + m v).  Without momentum: w <- w -
    lr g. With weight decay g is the gradient plus weight_decay w.
    """

    def __init__(
        self,
        slices: Sequence[Sequence[nn.Parameter]],
        lr: PerRow,
        momentum: PerRow | None = None,
        nesterov: bool = False,
        lr_schedule: Callable[..., Any] = constant,
        weight_decay: PerRow | None = None,
    ):
        super().__init__(slices, lr_schedule, lr=lr, momentum=momentum, weight_decay=weight_decay)
        self.nesterov = nesterov

    def update(self, weight: nn.Parameter, **values: Tensor) -> None:
        """Subtract lr times the direction."""
        lr = values.pop("lr")
        weight.addcmul_(self.direction(weight, **values), lr, value=-1)

    def direction(
        self, weight: nn.Parameter, momentum: Tensor | None = None, weight_decay: Tensor | None = None
    ) -> Tensor:
        """What is subtracted from a weight (S, ...), but for the learning rate; metaparameters are (S, 1, ...)."""
        gradient = weight.grad
        assert gradient is not None
        if weight_decay is not None:
            gradient = torch.addcmul(gradient, weight, weight_decay)
        if momentum is None:
            return gradient
        velocity = self.memory(weight, "velocity")
        velocity.mul_(momentum).add_(gradient)  # rounded twice, as torch's own SGD
        return torch.addcmul(gradient, velocity, momentum) if self.nesterov else velocity
