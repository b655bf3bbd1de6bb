"""What the optimizers of a stack of trials share: each trial has metaparameters of its own, which follow it.

Shapes: S rows in a slice of the stack (the leading axis of every parameter), R rows in all slices.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from numbers import Real
from typing import Any

import torch
from torch import Tensor, nn

from dps.protocol.values import require
from dps.stack.schedules import constant

PerRow = Sequence[float]  # a value for each of the R rows of the stack, in the order of its slices


class StackOptimizer(torch.optim.Optimizer, ABC):
    """An optimizer with one parameter group for each slice of the stack; `update` says how a weight moves.

    Metaparameters, `lr` among them, and the lists that `lr_schedule` binds, hold one value for each of the R rows; None
    stands for doing without. A row that holds no trial has a learning rate of zero, whatever else it has, and stays
    where it is. A pruned weight is zero, and so is its gradient: `update` must leave it there, and then its memory is
    zero too.
    """

    held_in: torch.dtype | None = None  # of the metaparameters; None: as the weights

    def __init__(
        self,
        slices: Sequence[Sequence[nn.Parameter]],
        lr_schedule: Callable[..., Any] = constant,
        **metaparameters: PerRow | None,
    ):
        for name, values in metaparameters.items():
            held = values is None or isinstance(values, Sequence)
            wanted = f"declared under metaparameters, or an argument of {type(self).__name__}.__init__"
            require(held, f"optimizer.{name}", values, wanted)
        bound = lr_schedule.keywords if isinstance(lr_schedule, partial) else {}
        per_row = {name: values for name, values in bound.items() if isinstance(values, Sequence)}
        function = lr_schedule.func if isinstance(lr_schedule, partial) else lr_schedule
        options = {name: value for name, value in bound.items() if name not in per_row}
        self.schedule: Callable[..., float | Tensor] = partial(function, **options)
        self.schedule_names = tuple(per_row)
        self.names: tuple[str, ...] = ()
        super().__init__([{"params": list(weights), "step": 0} for weights in slices], {})
        self.hold(**per_row, **{name: values for name, values in metaparameters.items() if values is not None})
        for group in self.param_groups:
            self._check_schedule(group)

    def _check_schedule(self, group: Mapping[str, Any]) -> None:
        factor, trials = self._factor(group), len(group["params"][0])
        fits = factor.shape in ((), (trials,)) if isinstance(factor, Tensor) else isinstance(factor, Real)
        if not fits:
            found = f"tensor {list(factor.shape)}" if isinstance(factor, Tensor) else type(factor).__name__
            name = getattr(self.schedule.func, "__name__", self.schedule.func)  # type: ignore[attr-defined]
            raise TypeError(f"lr_schedule: {name} gives a {found} at step 0, where a number or ({trials},) is expected")

    def _factor(self, group: Mapping[str, Any]) -> float | Tensor:
        return self.schedule(group["step"], **{name: group[name] for name in self.schedule_names})

    def hold(self, **metaparameters: PerRow) -> None:
        """Take metaparameters, a value for each of the R rows, into the parameter groups, where they follow trials."""
        self.names += tuple(metaparameters)
        first = 0
        for group in self.param_groups:
            like: Tensor = group["params"][0]
            for name, values in metaparameters.items():
                own = [float(value) for value in values[first : first + len(like)]]
                exact = torch.tensor(own, dtype=torch.float64)
                group[name] = exact.to(like.device, self.held_in or like.dtype)
            first += len(like)

    @abstractmethod
    def update(self, weight: nn.Parameter, **values: Tensor) -> Any:
        """Move a weight (S, ...) in place by its gradient; `values` are those of `values`, (S, 1, ...)."""

    def values(self, group: Mapping[str, Any], lr: Tensor) -> Mapping[str, Tensor]:
        """What `update` gets at a step, by name (S,): `lr`, as the schedule has it, and the other metaparameters."""
        own = {name: group[name] for name in self.names if name not in self.schedule_names}
        return own | {"lr": lr}

    def memory(self, weight: nn.Parameter, name: str) -> Tensor:
        """What is kept of a weight from step to step under this name, zeros (S, ...) at first; it follows its trial."""
        state: dict[str, Tensor] = self.state[weight]
        if name not in state:
            state[name] = torch.zeros_like(weight)
        return state[name]

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter from its gradient (a closure, which Lightning passes, is evaluated first)."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            lr = group["lr"] * self._factor(group)
            group["step"] += 1
            values = self.values(group, lr)
            shaped: dict[int, dict[str, Tensor]] = {}  # by the number of a weight's dimensions
            for weight in group["params"]:
                if weight.grad is None:  # the network does not use it
                    continue
                if weight.ndim not in shaped:
                    per_row = (-1,) + (1,) * (weight.ndim - 1)
                    shaped[weight.ndim] = {name: one.view(per_row) for name, one in values.items()}
                if (made := self.update(weight, **shaped[weight.ndim])) is not None and made is not weight:
                    raise TypeError(f"optimizer: {type(self).__name__}.update returns what it has to do in place")
        return loss

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget all gradients, without what torch's own does for compiled code, which takes longer than to forget."""
        for group in self.param_groups:
            for weight in group["params"]:
                weight.grad = None

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up a saved state; metaparameters move to the weights' device, as torch moves the memory."""
        super().load_state_dict(state_dict)
        for group in self.param_groups:
            for name in self.names:
                group[name] = group[name].to(group["params"][0].device)

    def follow(
        self,
        stopped: Iterable[tuple[int, int]],
        moved: Iterable[tuple[tuple[int, int], tuple[int, int]]],
        dropped_slices: int,
    ) -> None:
        """Do as the stack did when trials left it: places are (slice, row in the slice).

        The learning rate and the memory of a stopped row become zero; a moved row takes its memory and its
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
