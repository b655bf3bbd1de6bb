"""Adam and AdamW for a stack of trials, each with metaparameters of its own.

Shapes: S rows in a slice of the stack (the leading axis of every parameter).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from dps.stack.optimizer import PerRow, StackOptimizer
from dps.stack.schedules import constant


class Adam(StackOptimizer):
    """Adam (arXiv:1412.6980), as torch.optim.Adam, to the bit in float32 on a CPU.

    m <- beta1 m + (1 - beta1) g, v <- beta2 v + (1 - beta2) g^2, and at step t, from 1, w <- w - lr m' / (sqrt(v') +
    eps) with m' = m / (1 - beta1^t) and v' = v / (1 - beta2^t). With weight decay g is the gradient plus weight_decay
    w. Of a pruned weight both moments are zero, and so is the step: 0 / (0 + eps).
    """

    held_in = torch.float64  # as torch has them: 1 - beta2 would lose most of its digits in float32

    def __init__(
        self,
        slices: Sequence[Sequence[nn.Parameter]],
        lr: PerRow,
        beta1: PerRow,
        beta2: PerRow,
        eps: PerRow,
        lr_schedule: Callable[..., Any] = constant,
        weight_decay: PerRow | None = None,
    ):
        own = {"lr": lr, "beta1": beta1, "beta2": beta2, "eps": eps, "weight_decay": weight_decay}
        super().__init__(slices, lr_schedule, **own)

    def values(self, group: Mapping[str, Any], lr: Tensor) -> Mapping[str, Tensor]:
        """The scalars of torch's step, computed in float64 and rounded to the precision of the weights."""
        step, beta1, beta2 = group["step"], group["beta1"], group["beta2"]
        found = {
            "rest1": 1 - beta1,
            "beta2": beta2,
            "rest2": 1 - beta2,
            "correction": (1 - beta2**step).sqrt(),
            "eps": group["eps"],
            "size": lr / (1 - beta1**step),
        }
        if "weight_decay" in group:
            found |= self.decay(lr, group["weight_decay"])
        return {name: one.to(group["params"][0].dtype) for name, one in found.items()}

    def decay(self, lr: Tensor, weight_decay: Tensor) -> Mapping[str, Tensor]:
        """What `update` gets of the weight decay: here all of it, to be added to the gradient."""
        return {"weight_decay": weight_decay}

    def update(  # type: ignore[override]
        self,
        weight: nn.Parameter,
        rest1: Tensor,
        beta2: Tensor,
        rest2: Tensor,
        correction: Tensor,
        eps: Tensor,
        size: Tensor,
        weight_decay: Tensor | None = None,
        kept: Tensor | None = None,
    ) -> None:
        """Step in torch's order of operations; `kept` is the factor by which AdamW shrinks the weight before."""
        gradient = weight.grad
        assert gradient is not None
        if kept is not None:
            weight.mul_(kept)
        if weight_decay is not None:
            gradient = torch.addcmul(gradient, weight, weight_decay)
        mean = self.memory(weight, "mean").lerp_(gradient, rest1)
        square = self.memory(weight, "square").mul_(beta2).addcmul_(gradient * rest2, gradient)
        weight.addcdiv_(mean * size, square.sqrt().div_(correction).add_(eps), value=-1)


class AdamW(Adam):
    """Adam with decoupled weight decay (arXiv:1711.05101), as torch.optim.AdamW.

    Before each step of Adam, w <- (1 - lr weight_decay) w: the decay has no part in the moments.
    """

    def decay(self, lr: Tensor, weight_decay: Tensor) -> Mapping[str, Tensor]:
        """The factor by which the weight shrinks."""
        return {"kept": 1 - lr * weight_decay}
