"""Every optimizer of a stack, trial by trial, against torch.optim's own."""

import io
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from dps.protocol.metaparameters import TABLE
from dps.stack.adam import Adam, AdamW
from dps.stack.optimizer import StackOptimizer
from dps.stack.schedules import constant, cosine, linear
from dps.stack.sgd import SGD

SHAPES = [(10, 64), (6, 2, 3, 3), (10,)]  # of one trial's parameters
# Of five trials. The row that fills the second of two slices of three is idle.
OWN: dict[str, list[float]] = {
    "lr": [1e-3, 0.02, 0.1, 3e-4, 0.01],
    "momentum": [0.9, 0.1, 0.99, 0.5, 0.75],
    "beta1": [0.9, 0.5, 0.99, 0.0, 0.95],
    "beta2": [0.999, 0.9, 0.9999, 0.99, 0.0],
    "eps": [1e-8, 1e-3, 1e-6, 1e-8, 0.1],
    "weight_decay": [0.01, 0.3, 0.0, 1.0, 0.1],
}
IDLE = {one.name: one.idle for one in TABLE}
ADAM = ["lr", "beta1", "beta2", "eps"]
# By what a test is called: the optimizer of a stack, its metaparameters, and torch's own.
KINDS: dict[str, tuple[Callable[..., StackOptimizer], list[str], Callable[..., torch.optim.Optimizer]]] = {
    "sgd": (SGD, ["lr", "weight_decay"], torch.optim.SGD),
    "momentum": (SGD, ["lr", "momentum", "weight_decay"], torch.optim.SGD),
    "nesterov": (
        partial(SGD, nesterov=True),
        ["lr", "momentum", "weight_decay"],
        partial(torch.optim.SGD, nesterov=True),
    ),
    "adam": (Adam, ADAM, torch.optim.Adam),
    "adam with weight decay": (Adam, [*ADAM, "weight_decay"], torch.optim.Adam),
    "adamw": (AdamW, [*ADAM, "weight_decay"], torch.optim.AdamW),
    "adamw without weight decay": (AdamW, ADAM, partial(torch.optim.AdamW, weight_decay=0)),
}
EVERY = pytest.mark.parametrize("kind", list(KINDS))


def stacked(kind: str, weights: Sequence[Sequence[nn.Parameter]], **changed: Any) -> StackOptimizer:
    make, names, _ = KINDS[kind]
    return make(weights, **{name: [*OWN[name], IDLE[name]] for name in names}, **changed)


def plain(kind: str, trial: int, weights: Sequence[nn.Parameter]) -> torch.optim.Optimizer:
    _, names, make = KINDS[kind]
    own = {name: OWN[name][trial] for name in names}
    if "beta1" in own:
        own["betas"] = (own.pop("beta1"), own.pop("beta2"))  # type: ignore[assignment]
    return make(weights, **own)


class Trials:
    """Six rows in two slices of three, about half of whose weights are pruned, and their gradients step by step."""

    def __init__(self, dtype: torch.dtype):
        draw = torch.Generator().manual_seed(3)
        self.masks = [[(torch.rand(3, *shape, generator=draw) < 0.5).to(dtype) for shape in SHAPES] for _ in range(2)]
        self.slices = [
            [nn.Parameter(torch.randn(mask.shape, generator=draw).to(dtype) * mask) for mask in part]
            for part in self.masks
        ]

    def of(self, trial: int, what: Sequence[Sequence[Tensor]] | None = None) -> list[Tensor]:
        """A trial's weights, or whatever else there is of each."""
        index, inner = divmod(trial, 3)
        return [values[inner].detach().clone() for values in (self.slices if what is None else what)[index]]

    def set_gradients(self, step: int) -> None:
        """Those of this step, which follow from the weights, and are zero for pruned ones."""
        draw = torch.Generator().manual_seed(1000 + step)
        for part, masks in zip(self.slices, self.masks, strict=True):
            for weight, mask in zip(part, masks, strict=True):
                weight.grad = (weight.detach() + torch.randn(weight.shape, generator=draw).to(weight)) * mask


def beside_torch(kind: str, dtype: torch.dtype, steps: int = 40) -> Iterator[tuple[Tensor, Tensor]]:
    """The weights of every trial after every step, in the stack and under torch's optimizer."""
    trials = Trials(dtype)
    optimizer, idle = stacked(kind, trials.slices), trials.of(5)
    own = [[nn.Parameter(values) for values in trials.of(trial)] for trial in range(5)]
    optimizers = [plain(kind, trial, weights) for trial, weights in enumerate(own)]
    for step in range(steps):
        trials.set_gradients(step)
        for trial, (weights, one) in enumerate(zip(own, optimizers, strict=True)):
            for weight, gradient in zip(weights, trials.of(trial, gradients(trials)), strict=True):
                weight.grad = gradient
            one.step()
        optimizer.step()
        for trial, weights in enumerate(own):
            yield from zip(trials.of(trial), (weight.detach() for weight in weights), strict=True)
    assert all(torch.equal(*pair) for pair in zip(trials.of(5), idle, strict=True))


def gradients(trials: Trials) -> list[list[Tensor]]:
    found = []
    for part in trials.slices:
        found.append([weight.grad for weight in part if weight.grad is not None])
    return found


@EVERY
def test_in_float32_the_bits_are_those_of_torch(kind: str) -> None:
    assert all(torch.equal(ours, theirs) for ours, theirs in beside_torch(kind, torch.float32))


@EVERY
def test_in_float64_every_trial_moves_as_under_torch(kind: str) -> None:
    for ours, theirs in beside_torch(kind, torch.float64):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)


@EVERY
def test_a_pruned_weight_and_all_that_is_kept_of_it_stay_zero(kind: str) -> None:
    trials = Trials(torch.float32)
    optimizer = stacked(kind, trials.slices)
    for step in range(40):
        trials.set_gradients(step)
        optimizer.step()
    for part, masks in zip(trials.slices, trials.masks, strict=True):
        for weight, mask in zip(part, masks, strict=True):
            for values in (weight.detach(), *optimizer.state[weight].values()):
                assert not values[mask == 0].any()
                assert values[:2][mask[:2] == 1].all()


@EVERY
def test_what_leaves_moves_and_is_resumed_changes_no_bit_of_the_others(kind: str) -> None:
    undisturbed, trials = Trials(torch.float32), Trials(torch.float32)
    decay: dict[str, Any] = {"decay_steps": [8, 30, 20, 5, 25, 1], "end_factor": [0.5, 0.1, 0.0, 0.3, 1.0, 0]}
    decay["warmup_steps"] = [3, 0, 10, 1, 7, 0]
    schedule = partial(linear, **decay)
    stayed, moved = (stacked(kind, one.slices, lr_schedule=schedule) for one in (undisturbed, trials))
    for step in range(40):
        if step == 12:  # trials 0 and 3 leave, 4 takes the row of 0, and the last slice is gone
            with torch.no_grad():
                for first, last, *masks in zip(*trials.slices, *trials.masks, strict=True):
                    first[0], masks[0][0] = last[1], masks[1][1]
            moved.follow([(0, 0), (1, 0)], [((1, 1), (0, 0))], 1)
            trials.slices.pop()
        if step == 20:  # a checkpoint
            file = io.BytesIO()
            torch.save(moved.state_dict(), file)
            trials.slices[:] = [[nn.Parameter(weight.detach().clone()) for weight in trials.slices[0]]]
            make, names, _ = KINDS[kind]
            options = {name: [0.123] * 3 for name in names}
            moved = make(trials.slices, **options, lr_schedule=partial(schedule, **{n: [1] * 3 for n in decay}))
            moved.load_state_dict(torch.load(io.BytesIO(file.getvalue()), weights_only=True))
        undisturbed.set_gradients(step)
        if step < 12:
            trials.set_gradients(step)
        else:
            for number, weight in enumerate(trials.slices[0]):
                other = [part[number].grad for part in undisturbed.slices]
                assert other[0] is not None and other[1] is not None
                weight.grad = torch.stack([other[1][1], other[0][1], other[0][2]])
        stayed.step()
        moved.step()
    for row, trial in enumerate([4, 1, 2]):
        for ours, theirs in zip(trials.of(row), undisturbed.of(trial), strict=True):
            assert torch.equal(ours, theirs)


def test_a_stopped_row_rests() -> None:
    trials = Trials(torch.float32)
    optimizer = stacked("adamw", trials.slices)
    for step in range(20):
        if step == 5:
            optimizer.follow([(0, 2)], [], 0)
            resting = trials.of(2)
        trials.set_gradients(step)
        optimizer.step()
    assert all(torch.equal(*pair) for pair in zip(trials.of(2), resting, strict=True))


def torchs(name: str, one: torch.optim.Optimizer, decay_steps: int, end_factor: float, warm: int) -> Any:
    """Torch's own schedule, after a warm-up of some steps."""
    of = torch.optim.lr_scheduler
    if name == "linear":
        after: Any = of.LinearLR(one, 1, end_factor, decay_steps)
    else:
        after = of.CosineAnnealingLR(one, decay_steps, one.param_groups[0]["lr"] * end_factor)
    return of.SequentialLR(one, [of.LinearLR(one, 1 / warm, 1, warm - 1), after], [warm]) if warm else after


@pytest.mark.parametrize("warmup_steps", [None, [0, 2, 9]])
@pytest.mark.parametrize(("name", "function"), [("linear", linear), ("cosine", cosine)])
def test_adamw_follows_torchs_schedules(
    name: str, function: Callable[..., Tensor], warmup_steps: list[int] | None
) -> None:
    decay_steps, end_factor = [20, 30, 50], [0.1, 0.0, 0.5]
    bound: dict[str, Any] = {"decay_steps": decay_steps, "end_factor": end_factor, "warmup_steps": warmup_steps}
    weight = nn.Parameter(torch.ones(3, 4, dtype=torch.float64))
    metaparameters = {key: OWN[key][:3] for key in [*ADAM, "weight_decay"]}
    optimizer = AdamW([[weight]], **metaparameters, lr_schedule=partial(function, **bound))
    own = [nn.Parameter(torch.ones(4, dtype=torch.float64)) for _ in range(3)]
    optimizers = [plain("adamw", trial, [one]) for trial, one in enumerate(own)]
    warm = warmup_steps or [0, 0, 0]
    schedules = [torchs(name, *of_trial) for of_trial in zip(optimizers, decay_steps, end_factor, warm, strict=True)]
    for step in range(50):
        weight.grad = torch.linspace(-1, 1, 12, dtype=torch.float64).view(3, 4) + step % 3
        optimizer.step()
        for trial in range(3):
            own[trial].grad = weight.grad[trial].clone()
            optimizers[trial].step()
            if step < decay_steps[trial] + warm[trial]:  # from there torch's cosine rises again, and ours is level
                schedules[trial].step()
            torch.testing.assert_close(weight[trial].detach(), own[trial].detach(), rtol=0, atol=1e-12)


def test_a_warm_up_rises_in_equal_parts_and_then_the_schedule_begins() -> None:
    steps = torch.tensor([0.0, 1.0, 4.0])
    rise = torch.stack([torch.as_tensor(constant(step, steps)) for step in range(6)])
    assert rise.T.tolist() == [[1.0] * 6, [1.0] * 6, [0.25, 0.5, 0.75, 1, 1, 1]]
    decay, end = torch.tensor([10.0] * 3), torch.tensor([0.0] * 3)
    for function in (linear, cosine):
        for late, warm in enumerate([0, 1, 4]):
            after = [float(function(step + warm, decay, end, steps)[late]) for step in range(12)]
            assert after == pytest.approx([float(function(step, decay, end)[late]) for step in range(12)], abs=1e-6)
