import io
from collections.abc import Sequence
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from dps.stack.schedules import constant, linear
from dps.stack.sgd import SGD

SHAPES = [(3, 2), (4,)]  # of one trial's parameters
# of five trials, and of the idle row that fills the second of two slices of three
LR = [0.5, 0.1, 0.02, 0.3, 0.07, 0.0]
MOMENTUM = [0.9, 0.0, 0.99, 0.5, 0.75, 0.0]


def slices(rows: Sequence[int], seed: int = 0) -> list[list[nn.Parameter]]:
    generator = torch.Generator().manual_seed(seed)
    return [
        [nn.Parameter(torch.randn(n, *shape, dtype=torch.float64, generator=generator)) for shape in SHAPES]
        for n in rows
    ]


def set_gradients(weights: Sequence[Sequence[nn.Parameter]], step: int) -> None:
    generator = torch.Generator().manual_seed(1000 + step)
    for part in weights:
        for weight in part:
            noise = torch.randn(weight.shape, dtype=weight.dtype, generator=generator)
            weight.grad = weight.detach() + noise


def row(weights: Sequence[Sequence[Tensor]], number: int, rows_per_slice: int = 3) -> list[Tensor]:
    index, inner = divmod(number, rows_per_slice)
    return [weight[inner].detach().clone() for weight in weights[index]]


KINDS = pytest.mark.parametrize(
    ("momentum", "nesterov"),
    [
        pytest.param(None, False, id="sgd"),
        pytest.param(MOMENTUM, False, id="momentum"),
        pytest.param([0.9, 0.1, 0.99, 0.5, 0.75, 0.0], True, id="nesterov"),  # torch's has none without momentum
    ],
)


@KINDS
def test_every_trial_moves_as_under_torchs_sgd(momentum: list[float] | None, nesterov: bool) -> None:
    weights = slices([3, 3])
    optimizer = SGD(weights, LR, momentum, nesterov)
    plain = [[nn.Parameter(values) for values in row(weights, t)] for t in range(5)]
    options: list[dict[str, Any]] = [
        {"lr": LR[t], "momentum": momentum[t] if momentum else 0.0, "nesterov": nesterov} for t in range(5)
    ]
    plain_optimizers = [torch.optim.SGD(plain[t], **options[t]) for t in range(5)]
    idle = row(weights, 5)
    for step in range(30):
        set_gradients(weights, step)
        for t in range(5):
            index, inner = divmod(t, 3)
            for parameter, weight in zip(plain[t], weights[index], strict=True):
                assert weight.grad is not None
                parameter.grad = weight.grad[inner].clone()
            plain_optimizers[t].step()
        optimizer.step()
        for t in range(5):
            for parameter, values in zip(plain[t], row(weights, t), strict=True):
                torch.testing.assert_close(values, parameter.detach(), rtol=0, atol=1e-12)
    for before, after in zip(idle, row(weights, 5), strict=True):
        assert torch.equal(before, after)


@KINDS
@pytest.mark.parametrize("shape", [(10, 1024), (32, 1, 5, 5), (10,)])
def test_in_float32_the_bits_are_those_of_torchs_sgd(
    momentum: list[float] | None, nesterov: bool, shape: tuple[int, ...]
) -> None:
    generator = torch.Generator().manual_seed(3)
    stacked = nn.Parameter(torch.randn(6, *shape, generator=generator))
    plain = [nn.Parameter(values.clone()) for values in stacked.detach()]
    idle = stacked[5].detach().clone()
    optimizer = SGD([[stacked]], LR, momentum, nesterov)
    options: list[dict[str, Any]] = [{"momentum": m, "nesterov": nesterov} for m in (momentum or [0.0] * 5)[:5]]
    plain_optimizers = [torch.optim.SGD([plain[t]], LR[t], **options[t]) for t in range(5)]
    for _ in range(30):
        stacked.grad = torch.randn(6, *shape, generator=generator)
        optimizer.step()
        for t in range(5):
            plain[t].grad = stacked.grad[t].clone()
            plain_optimizers[t].step()
            assert torch.equal(stacked[t], plain[t])
    assert torch.equal(stacked[5], idle)


def test_linear_decay_is_a_straight_line_and_then_level() -> None:
    decay_steps, end_factor = [10, 4, 1], [0.1, 0.0, 0.5]
    weight = nn.Parameter(torch.zeros(3, 2, dtype=torch.float64))
    decay: dict[str, Any] = {"decay_steps": decay_steps, "end_factor": end_factor}
    optimizer = SGD([[weight]], [1.0, 2.0, 0.3], lr_schedule=partial(linear, **decay))
    for step in range(25):
        before = weight.detach().clone()
        weight.grad = torch.ones_like(weight)
        optimizer.step()
        moved = before - weight.detach()
        for t, lr in enumerate([1.0, 2.0, 0.3]):
            done = min(step, decay_steps[t])
            expected = (lr * (decay_steps[t] - done) + lr * end_factor[t] * done) / decay_steps[t]
            torch.testing.assert_close(moved[t], torch.full((2,), expected, dtype=torch.float64), rtol=0, atol=1e-12)


def test_the_factor_of_both_schedules() -> None:
    decay_steps, end_factor = torch.tensor([40_000.0, 30_000.0]), torch.tensor([0.01, 0.1])
    assert constant(0) == constant(10**6) == 1
    for step, factors in ((0, [1, 1]), (15_000, [0.62875, 0.55]), (40_000, [0.01, 0.1]), (10**6, [0.01, 0.1])):
        found = linear(step, decay_steps, end_factor)
        torch.testing.assert_close(found, torch.tensor(factors, dtype=torch.float32), rtol=0, atol=1e-6)


def test_without_a_schedule_the_learning_rate_stays() -> None:
    weight = nn.Parameter(torch.zeros(1, 1, dtype=torch.float64))
    optimizer = SGD([[weight]], [0.25])
    for step in range(1, 50):
        weight.grad = torch.ones_like(weight)
        optimizer.step()
        assert weight.item() == -0.25 * step


def optimizer_of(weights: list[list[nn.Parameter]], lr: list[float], end_factor: float) -> SGD:
    decay: dict[str, Any] = {"decay_steps": [12] * 5 + [1], "end_factor": [end_factor] * 5 + [0]}
    return SGD(weights, lr, MOMENTUM, nesterov=True, lr_schedule=partial(linear, **decay))


def test_a_saved_state_goes_on_as_if_it_had_never_stopped() -> None:
    weights = slices([3, 3])
    optimizer = optimizer_of(weights, LR, 0.2)
    for step in range(7):
        set_gradients(weights, step)
        optimizer.step()
    file = io.BytesIO()
    torch.save(optimizer.state_dict(), file)
    file.seek(0)
    copies = [[nn.Parameter(weight.detach().clone()) for weight in part] for part in weights]
    resumed = optimizer_of(copies, [9.0] * 5 + [0.0], 0.9)
    resumed.load_state_dict(torch.load(file, weights_only=True))
    for step in range(7, 20):
        for part, own in ((weights, optimizer), (copies, resumed)):
            set_gradients(part, step)
            own.step()
    for number in range(6):
        for one, other in zip(row(weights, number), row(copies, number), strict=True):
            assert torch.equal(one, other)


def test_a_loaded_state_lies_where_the_weights_are() -> None:
    weights = slices([3, 3])
    optimizer = optimizer_of(weights, LR, 0.2)
    set_gradients(weights, 0)
    optimizer.step()
    elsewhere = [[nn.Parameter(weight.detach().to("meta")) for weight in part] for part in weights]
    resumed = optimizer_of(elsewhere, LR, 0.2)
    resumed.load_state_dict(optimizer.state_dict())
    for group in resumed.param_groups:
        for name in ("lr", "momentum", "decay_steps", "end_factor"):
            assert group[name].device.type == "meta"


def trajectory(trial: int, move_to: int | None, steps: int, momentum: bool) -> list[list[Tensor]]:
    """The parameters of a trial after every step; after five of them it moves to another row, if one is given."""
    weights = slices([3, 3])
    options: dict[str, Any] = {"momentum": MOMENTUM} if momentum else {}
    decay: dict[str, Any] = {"decay_steps": [8, 9, 10, 11, 12, 1], "end_factor": [0.5, 0.4, 0.3, 0.2, 0.1, 0]}
    optimizer = SGD(weights, LR, nesterov=momentum, lr_schedule=partial(linear, **decay), **options)
    place, found = trial, []
    for step in range(steps):
        if step == 5 and move_to is not None:
            source, target = divmod(place, 3), divmod(move_to, 3)
            with torch.no_grad():
                for old, new in zip(weights[source[0]], weights[target[0]], strict=True):
                    new[target[1]] = old[source[1]]
            optimizer.follow([], [(source, target)], 0)
            optimizer.follow([source], [], 0)
            place = move_to
        for part in weights:
            for weight in part:
                weight.grad = 0.1 * weight.detach() + 0.05
        optimizer.step()
        found.append(row(weights, place))
    return found


@pytest.mark.parametrize("momentum", [True, False])
@pytest.mark.parametrize(("trial", "move_to"), [(4, 0), (3, 2), (1, 5), (0, 2)])
def test_a_trial_that_moves_to_another_row_goes_on_unchanged(trial: int, move_to: int, momentum: bool) -> None:
    stayed, moved = trajectory(trial, None, 20, momentum), trajectory(trial, move_to, 20, momentum)
    for one, other in zip(stayed, moved, strict=True):
        for values, same in zip(one, other, strict=True):
            assert torch.equal(values, same)


def test_a_move_before_the_first_step_takes_the_metaparameters_along() -> None:
    weights = slices([3, 3])
    optimizer = SGD(weights, LR, MOMENTUM)
    optimizer.follow([], [((1, 1), (0, 0))], 0)
    assert optimizer.param_groups[0]["lr"].tolist() == [0.07, 0.1, 0.02]
    assert optimizer.param_groups[0]["momentum"].tolist() == [0.75, 0.0, 0.99]


def test_a_stopped_row_rests_and_the_others_do_not_notice() -> None:
    weights, untouched = slices([3, 3]), slices([3, 3])
    optimizer, other = SGD(weights, LR, MOMENTUM), SGD(untouched, LR, MOMENTUM)
    for step in range(15):
        if step == 5:
            optimizer.follow([(0, 2)], [], 0)
            resting = row(weights, 2)
        set_gradients(weights, step)
        set_gradients(untouched, step)
        optimizer.step()
        other.step()
    for before, after in zip(resting, row(weights, 2), strict=True):
        assert torch.equal(before, after)
    for number in (0, 1, 3, 4):
        for one, same in zip(row(weights, number), row(untouched, number), strict=True):
            assert torch.equal(one, same)


def test_a_row_that_diverged_rests_too() -> None:
    weights = slices([3])
    optimizer = SGD(weights, LR[:3], MOMENTUM[:3])
    for weight in weights[0]:
        weight.grad = torch.zeros_like(weight)
        weight.grad[1] = float("nan")
    optimizer.step()
    with torch.no_grad():
        for weight in weights[0]:
            weight[1] = 0
    optimizer.follow([(0, 1)], [], 0)
    set_gradients(weights, 0)
    optimizer.step()
    assert not any(values.any() for values in row(weights, 1))


def test_the_last_slice_is_forgotten() -> None:
    weights = slices([3, 3])
    optimizer = SGD(weights, LR, MOMENTUM)
    set_gradients(weights, 0)
    optimizer.step()
    optimizer.follow([], [], 1)
    kept, dropped = row(weights, 0), row(weights, 3)
    set_gradients(weights, 1)
    optimizer.step()
    assert not torch.equal(row(weights, 0)[0], kept[0])
    assert torch.equal(row(weights, 3)[0], dropped[0])
    assert len(optimizer.state_dict()["state"]) == len(SHAPES)


def test_what_left_together_is_followed_in_order() -> None:
    weights = slices([3, 3])
    optimizer = SGD(weights, LR, MOMENTUM)
    set_gradients(weights, 0)
    optimizer.step()
    velocity = optimizer.state[weights[1][0]]["velocity"][1].clone()
    optimizer.follow([(0, 0), (1, 0)], [((1, 1), (0, 0))], 1)  # trials 0 and 3 leave, and 4 moves to the first row
    (group,) = optimizer.param_groups
    assert group["lr"].tolist() == [0.07, 0.1, 0.02] and group["momentum"].tolist() == [0.75, 0.0, 0.99]
    assert torch.equal(optimizer.state[weights[0][0]]["velocity"][0], velocity)


def test_a_closure_is_evaluated_with_gradients_before_the_update() -> None:
    weight = nn.Parameter(torch.full((1, 1), 3.0))
    optimizer = SGD([[weight]], [0.5])

    def closure() -> Tensor:
        loss = weight.square().sum()
        loss.backward()
        return loss

    assert optimizer.step(closure).item() == 9
    assert weight.item() == 0
