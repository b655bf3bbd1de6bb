import math
from collections.abc import Callable

import pytest
import torch
from torch import nn

from dps.models import ResNet8, SimpleCNN, SimpleCNNShallue, initialise


def initialised(model: Callable[[], nn.Module], seed: int) -> nn.Module:
    built = model()
    initialise(built, seed)
    return built


def truncated_std() -> float:
    """Of a unit normal cut at 2: variance 1 - 2 a phi(a) / (2 Phi(a) - 1), from the density itself."""
    density = math.exp(-2) / math.sqrt(2 * math.pi)
    return math.sqrt(1 - 4 * density / math.erf(math.sqrt(2)))


@pytest.mark.parametrize("model", [SimpleCNN, SimpleCNNShallue, ResNet8])
def test_biases_are_zero_and_weights_have_variance_1_over_fan_in(model: Callable[[], nn.Module]) -> None:
    for name, parameter in initialised(model, 3).named_parameters():
        if name.endswith("bias"):
            assert not parameter.any()
            continue
        fan_in = math.prod(parameter.shape[1:])
        scaled = parameter.detach().double().flatten() * math.sqrt(fan_in)  # variance 1
        n = scaled.numel()
        assert abs(scaled.mean()) < 5 / math.sqrt(n)
        assert abs(scaled.square().mean() - 1) < 5 * math.sqrt(2 / n)
        limit = 2 / truncated_std()  # two standard deviations of the normal before it was cut
        assert scaled.abs().max() <= limit + 1e-6
        if n > 10_000:
            assert scaled.abs().max() > 0.98 * limit
            beyond_one = (scaled.abs() > 1 / truncated_std()).double().mean()
            expected = 1 - math.erf(math.sqrt(1 / 2)) / math.erf(math.sqrt(2))
            assert abs(beyond_one - expected) < 5 * math.sqrt(expected / n)


def test_the_seed_alone_decides() -> None:
    first = initialised(SimpleCNN, 0)
    torch.manual_seed(123)
    again = SimpleCNN()
    torch.rand(7)
    initialise(again, 5)
    initialise(again, 0)
    for one, other in zip(first.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, other)


def test_the_global_generator_is_left_alone() -> None:
    model = SimpleCNN()
    before = torch.get_rng_state()
    initialise(model, 0)
    assert torch.equal(torch.get_rng_state(), before)


def test_every_seed_differs_and_0_is_one_of_them() -> None:
    weights = [initialised(SimpleCNN, seed).get_parameter("conv2.weight") for seed in range(4)]
    for i, one in enumerate(weights):
        assert one.std() > 0
        for other in weights[:i]:
            assert (one == other).double().mean() < 0.01


def test_float64_starts_at_the_float32_draw() -> None:
    single, double = initialised(SimpleCNN, 7), initialised(lambda: SimpleCNN().double(), 7)
    for one, other in zip(single.parameters(), double.parameters(), strict=True):
        assert other.dtype == torch.float64
        assert torch.equal(one.double(), other)
