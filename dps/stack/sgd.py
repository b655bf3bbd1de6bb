"""Stochastic gradient descent for a stack of trials, each with metaparameters of its own.

Shapes: S rows in a slice of the stack (the leading axis of every parameter), R rows in all slices.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from dps.stack.schedules import constant


class SGD(torch.optim.Optimizer):
    """SGD, Momentum and Nesterov (reference equations below), with one parameter group for each slice of the stack.

    Momentum: v <- m v + g, w <- w - lr v.  Nesterov: v <- m v + g, w <- w - lr (g + m v).  Without momentum: w <- w -
    lr g. `lr`, `momentum` and the lists that `lr_schedule` binds hold one value for each of the R rows of the stack, in
    the order of its slices; a row that holds no trial has the idle values of its metaparameters, and stays where it is.
    """

    def __init__(
        self,
        slices: Sequence[Sequence[nn.Parameter]],
        lr: Sequence[float],
        momentum: Sequence[float] | None = None,
        nesterov: bool = False,
        lr_schedule: Callable[..., Any] = constant,
    ):
        bound = lr_schedule.keywords if isinstance(lr_schedule, partial) else {}
        per_row = {name: values for name, values in bound.items() if isinstance(values, Sequence)}
        function = lr_schedule.func if isinstance(lr_schedule, partial) else lr_schedule
        options = {name: value for name, value in bound.items() if name not in per_row}
        self.schedule: Callable[..., float | Tensor] = partial(function, **options)
        self.schedule_names = tuple(per_row)
        self.nesterov = nesterov
        self.names: tuple[str, ...] = ()
        super().__init__([{"params": list(weights), "step": 0} for weights in slices], {})
        self.hold(lr=lr, **per_row, **({"momentum": momentum} if momentum is not None else {}))

    def hold(self, **metaparameters: Sequence[float]) -> None:
        """Take metaparameters, a value for each of the R rows, into the parameter groups, where they follow trials."""
        self.names += tuple(metaparameters)
        first = 0
        for group in self.param_groups:
            rows = group["params"][0].shape[0]
            for name, values in metaparameters.items():
                own = [float(value) for value in values[first : first + rows]]
                group[name] = torch.tensor(own, dtype=torch.float64).to(group["params"][0])
            first += rows

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter from its gradient (a closure, which Lightning passes, is evaluated first)."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            lr = group["lr"] * self.schedule(group["step"], **{name: group[name] for name in self.schedule_names})
            group["step"] += 1
            for weight in group["params"]:
                if weight.grad is None:  # the network does not use it
                    continue
                per_row = (-1,) + (1,) * (weight.ndim - 1)
                update = self.direction(weight, group, per_row)
                weight.addcmul_(update, lr.view(per_row), value=-1)
        return loss

    def direction(self, weight: nn.Parameter, group: dict[str, Any], per_row: tuple[int, ...]) -> Tensor:
        """What is subtracted from a weight (S, ...), but for the learning rate; values (S,) are viewed `per_row`."""
        assert weight.grad is not None
        if "momentum" not in group:
            return weight.grad
        momentum = group["momentum"].view(per_row)
        state = self.state[weight]
        if "velocity" not in state:
            state["velocity"] = torch.zeros_like(weight)
        velocity: Tensor = state["velocity"].mul_(momentum).add_(weight.grad)  # rounded twice, as torch's own SGD
        return torch.addcmul(weight.grad, velocity, momentum) if self.nesterov else velocity

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget all gradients, without what torch's own does for compiled code, which takes longer than to forget."""
        for group in self.param_groups:
            for weight in group["params"]:
                weight.grad = None

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up a saved state; metaparameters move to the weights' device, as torch moves velocities."""
        super().load_state_dict(state_dict)
        for group in self.param_groups:
            for name in self.names:
                group[name] = group[name].to(group["params"][0])

    def follow(
        self,
        stopped: Iterable[tuple[int, int]],
        moved: Iterable[tuple[tuple[int, int], tuple[int, int]]],
        dropped_slices: int,
    ) -> None:
        """Do as the stack did when trials left it: places are (slice, row in the slice).

        The learning rate and the velocity of a stopped row become zero; a moved row takes its velocity and its
        metaparameters along; of slices that hold no trial any more, the last ones, nothing is kept.
        """
        for place in stopped:
            self._stop(*place)
        for source, target in moved:
            self._move(source, target)
        for _ in range(dropped_slices):
            for weight in self.param_groups.pop()["params"]:
                self.state.pop(weight, None)

    def _stop(self, index: int, row: int) -> None:
        group = self.param_groups[index]
        group["lr"][row] = 0
        for weight in group["params"]:
            for value in self.state[weight].values():
                value[row] = 0

    def _move(self, source: tuple[int, int], target: tuple[int, int]) -> None:
        (from_slice, from_row), (to_slice, to_row) = source, target
        old, new = self.param_groups[from_slice], self.param_groups[to_slice]
        for name in self.names:
            new[name][to_row] = old[name][from_row]
        for weight, moved in zip(old["params"], new["params"], strict=True):
            for key, value in self.state[weight].items():
                self.state[moved][key][to_row] = value[from_row]
