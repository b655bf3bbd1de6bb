"""Any network in a stack: its trials are those of plain PyTorch, whatever layers it is made of."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from command import dps, study
from torch import Tensor, nn

from dps.models import MLP, ResNet8, SimpleCNN, SimpleCNNShallue, StackedModel, built
from dps.models.layers import Conv2d, Linear
from dps.models.stackable import refuse_unstackable
from dps.stack.sgd import SGD
from dps.stack.stack import Stack
from dps.storage import records

DOUBLE = torch.float64
Batch = tuple[Tensor, Tensor]


class VisionTransformer(nn.Module):
    """A small one of stock torch layers: patches, a class token, positions, one encoder layer, a constant buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(1, 16, 7, stride=7)
        self.token = nn.Parameter(torch.randn(1, 1, 16) * 0.1)
        self.positions = nn.Parameter(torch.randn(1, 17, 16) * 0.1)
        self.encoder = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.0, batch_first=True, norm_first=True)
        self.norm = nn.LayerNorm(16)
        self.head = nn.Linear(16, 10)
        self.register_buffer("scale", torch.tensor(0.5))
        self.scale: Tensor

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(len(x), -1, -1), x], 1) + self.positions
        return self.head(self.norm(self.encoder(x))[:, 0]) * self.scale


class MeanOverChannels(nn.Module):
    """Of the study's layers, but its mean over the channels would run over those of several models."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2, self.dense = Conv2d(1, 4, 5), Conv2d(1, 2, 5), Linear(800, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.dense(F.relu(self.conv2(F.relu(self.conv1(x)).mean(1, keepdim=True))))


class FlattenedByHand(nn.Module):
    """Of the study's layers, but it merges the models' channels before the dense layer."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.dense = Conv2d(1, 2, 5, stride=4), Linear(72, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.dense(self.conv(x).flatten(1))


class Tied(nn.Module):
    """Of the study's layers, with one weight in two places."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = Conv2d(1, 1, 5, same=True), Conv2d(1, 1, 5, same=True)
        self.head = Linear(49, 10)
        self.second.weight = self.first.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.head(F.avg_pool2d(F.relu(self.second(F.relu(self.first(x)))), 4))


NETWORKS = [MLP, VisionTransformer, MeanOverChannels, FlattenedByHand, Tied]


def batches(number: int, size: int, dtype: torch.dtype = DOUBLE) -> list[Batch]:
    generator = torch.Generator().manual_seed(11)
    images = torch.randn(number, size, 1, 28, 28, generator=generator).to(dtype)
    return list(zip(images, torch.randint(0, 10, (number, size), generator=generator), strict=True))


def masks_of(build: Callable[[], nn.Module], seeds: range, sparsity: float) -> dict[int, dict[str, Tensor]]:
    found = {}
    for seed in seeds:
        generator = torch.Generator().manual_seed(700 + seed)
        named = built(build, seed).named_parameters()
        found[seed] = {name: (torch.rand(1, *p.shape, generator=generator) >= sparsity).double() for name, p in named}
    return found


def alone(build: Callable[[], nn.Module], seed: int, masks: dict[str, Tensor] | None) -> Iterator[list[Tensor]]:
    """The trial by itself in plain PyTorch, its parameters after each of the batches."""
    model = built(build, seed).double()
    for name, parameter in model.named_parameters():
        if masks is not None:
            mask = masks[name][0]
            parameter.data *= mask
            parameter.register_hook(lambda gradient, mask=mask: gradient * mask)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01 * (seed + 1), momentum=0.9)
    for images, labels in batches(100, 6):
        optimizer.zero_grad()
        F.cross_entropy(model(images), labels).backward()
        optimizer.step()
        yield [parameter.detach() for parameter in model.parameters()]


def stacked(
    build: Callable[[], nn.Module], seeds: range, sparsity: float = 0, dtype: torch.dtype = DOUBLE
) -> tuple[Stack, SGD]:
    stack = Stack(StackedModel(build, batches(1, 2, dtype)[0][0]), {seed: seed for seed in seeds}, len(seeds), 4, dtype)
    sgd = SGD([list(stack.slices[0].weights)], [0.01 * (seed + 1) for seed in seeds], [0.9] * len(seeds))
    if sparsity:
        stack.prune(masks_of(build, seeds, sparsity))
    return stack, sgd


def step(stack: Stack, sgd: SGD, batch: Batch) -> None:
    stack.backward(*batch)
    sgd.step()
    sgd.zero_grad()


@pytest.mark.parametrize("sparsity", [pytest.param(0, marks=pytest.mark.slow), 0.7])
@pytest.mark.parametrize("build", NETWORKS)
def test_trials_in_a_stack_are_the_trials_alone_over_100_steps(build: Callable[[], nn.Module], sparsity: float) -> None:
    seeds = range(3)
    stack, sgd = stacked(build, seeds, sparsity)
    masks = masks_of(build, seeds, sparsity) if sparsity else dict.fromkeys(seeds)
    plain = {seed: alone(build, seed, masks[seed]) for seed in (0, 2)}
    before = [weights.clone() for weights in stack.weights_by_trial()[2].values()]
    for batch in batches(100, 6):  # in two passes, of four examples and of two
        step(stack, sgd, batch)
        for seed, ours in stack.weights_by_trial().items():
            if seed in plain:
                for values, expected in zip(ours.values(), next(plain[seed]), strict=True):
                    torch.testing.assert_close(values[0], expected, rtol=0, atol=1e-10)
    after = stack.weights_by_trial()[2].values()
    assert max(float((new - old).abs().max()) for new, old in zip(after, before, strict=True)) > 1e-3


@pytest.mark.parametrize("build", NETWORKS)
def test_a_trial_does_not_feel_its_neighbours(build: Callable[[], nn.Module]) -> None:
    found = []
    for rates in ([0.01, 0.02, 0.03], [1e4, 0.02, 0.0]):
        stack, _ = stacked(build, range(3), dtype=torch.float32)
        sgd = SGD([list(stack.slices[0].weights)], rates, [0.9] * 3)
        for batch in batches(30, 6, torch.float32):
            step(stack, sgd, batch)
        found.append([values.clone() for values in stack.weights_by_trial()[1].values()])
    for one, other in zip(*found, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize(
    ("build", "image", "by_itself"),
    [
        (SimpleCNN, (1, 28, 28), True),
        (SimpleCNNShallue, (1, 28, 28), True),
        (ResNet8, (3, 32, 32), True),
        (Tied, (1, 28, 28), True),
        (MLP, (1, 28, 28), False),
        (VisionTransformer, (1, 28, 28), False),
        (MeanOverChannels, (1, 28, 28), False),
        (FlattenedByHand, (1, 28, 28), False),
    ],
)
def test_the_way_follows_from_what_the_network_is_made_of(
    build: Callable[[], nn.Module], image: tuple[int, ...], by_itself: bool
) -> None:
    assert StackedModel(build, torch.zeros(1, *image).normal_()).runs_by_itself == by_itself


@pytest.mark.parametrize("build", [SimpleCNN, MLP, VisionTransformer])
def test_gradients_of_single_examples_are_those_of_plain_networks(build: Callable[[], nn.Module]) -> None:
    from dps.models.gradients import example_gradients

    images, labels = batches(1, 5)[0]
    model = StackedModel(build, images)
    weights = {name: values[None].double() for name, values in zip(model.names, model.initial(4), strict=True)}
    found = example_gradients(model, weights, images, labels)
    plain = built(build, 4).double()
    for number in range(5):
        plain.zero_grad()
        F.cross_entropy(plain(images[number : number + 1]), labels[number : number + 1]).backward()
        for name, parameter in plain.named_parameters():
            assert parameter.grad is not None
            torch.testing.assert_close(found[name][number], parameter.grad, rtol=0, atol=1e-12)


# ---- what cannot be stacked


def noisy(x: Tensor) -> Tensor:
    return x + torch.randn_like(x)


class Noisy(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.dense = nn.Linear(784, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.dense(noisy(x.flatten(1)))


class Counting(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.dense = nn.Linear(784, 10)
        self.register_buffer("calls", torch.zeros(()))
        self.calls: Tensor

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return self.dense(x.flatten(1))


@pytest.mark.parametrize(
    ("part", "named"),
    [
        (nn.BatchNorm2d(3), "BatchNorm2d"),
        (nn.BatchNorm1d(3, track_running_stats=False), "BatchNorm1d"),
        (nn.InstanceNorm2d(3, track_running_stats=True), "InstanceNorm2d"),
        (nn.Dropout(0.1), "Dropout"),
        (nn.Dropout2d(0.5), "Dropout2d"),
        (nn.MultiheadAttention(4, 2, dropout=0.1), "MultiheadAttention"),
        (nn.LSTM(4, 4, 2, dropout=0.2), "LSTM"),
        (nn.RReLU(), "RReLU"),
    ],
)
def test_what_mixes_examples_or_draws_at_random_is_refused_by_name(part: nn.Module, named: str) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Sequential(part))
    with pytest.raises(ValueError) as error:
        refuse_unstackable(model)
    assert f"model: 1.0, a {named}," in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    "part", [nn.Dropout(0.0), nn.LayerNorm(4), nn.GroupNorm(2, 4), nn.InstanceNorm2d(3), nn.MultiheadAttention(4, 2)]
)
def test_what_does_neither_is_accepted(part: nn.Module) -> None:
    refuse_unstackable(nn.Sequential(part))


class Recounting(Counting):
    def forward(self, x: Tensor) -> Tensor:
        self.calls = self.calls + 1
        return self.dense(x.flatten(1))


class CountingByItself(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.dense = Conv2d(1, 2, 5, stride=4), Linear(72, 10)
        self.register_buffer("mean", torch.zeros(()))
        self.mean: Tensor

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        self.mean.mul_(0.9).add_(x.detach().mean())
        return self.dense(x)


class Centred(Noisy):
    def forward(self, x: Tensor) -> Tensor:
        logits = self.dense(x.flatten(1))
        return logits - logits.mean(0)


class Pair(Noisy):
    def forward(self, x: Tensor) -> Tensor:
        return self.dense(x.flatten(1)), x  # type: ignore[return-value]


class Branching(Noisy):
    """A network whose way depends on a number that only one model has."""

    def forward(self, x: Tensor) -> Tensor:
        logits = self.dense(x.flatten(1))
        return logits if float(self.dense.bias.sum()) < 1e9 else -logits


class Frozen(Noisy):
    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(784), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.dense(x.flatten(1) * self.scale)


class Complex(Noisy):
    def __init__(self) -> None:
        super().__init__()
        self.turn = nn.Parameter(torch.ones(784, dtype=torch.complex64))

    def forward(self, x: Tensor) -> Tensor:
        return self.dense((x.flatten(1) * self.turn).real)


@pytest.mark.parametrize(
    ("build", "named"),
    [
        (Noisy, "draws at random"),
        (Counting, "changes its buffer calls"),
        (Recounting, "changes its buffer calls"),
        (CountingByItself, "changes its buffer mean"),
        (Centred, "mixes the examples of a batch"),
        (Pair, "must return logits"),
        (Branching, "cannot run under torch.func.vmap: vmap: It looks like you're calling .item()"),
        (Frozen, "scale, a parameter that is not trained"),
        (Complex, "turn, a parameter of torch.complex64"),
        (ResNet8, "cannot take images of the shape (1, 28, 28)"),
    ],
)
def test_what_cannot_be_stacked_is_refused_in_one_sentence(build: Callable[[], nn.Module], named: str) -> None:
    with pytest.raises(ValueError) as error:
        StackedModel(build, torch.rand(4, 1, 28, 28, generator=torch.Generator().manual_seed(0)))
    assert named in str(error.value) and "\n" not in str(error.value)


class Unused(Noisy):
    """A network that does not use one of its parameters, which plain PyTorch trains all the same."""

    def __init__(self) -> None:
        super().__init__()
        self.idle = nn.Linear(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.dense(x.flatten(1))


class NormalisedZeroHead(nn.Module):
    """Of the study's layers, with a normalisation over channels, and a head that starts at zero and so hides it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.dense = Conv2d(1, 2, 5, stride=4), Linear(72, 10)

    def initialise(self, generator: torch.Generator) -> None:
        self.conv.weight.normal_(std=0.2, generator=generator)
        self.conv.bias.zero_()
        self.dense.weight.zero_()
        self.dense.bias.zero_()

    def forward(self, x: Tensor) -> Tensor:
        return self.dense(F.normalize(self.conv(x), dim=1))


@pytest.mark.parametrize("build", [Unused, NormalisedZeroHead])
@pytest.mark.parametrize("sparsity", [0, 0.5])
def test_odd_networks_train_as_they_do_alone(build: Callable[[], nn.Module], sparsity: float) -> None:
    stack, sgd = stacked(build, range(2), sparsity)
    assert not stack.model.runs_by_itself
    masks = masks_of(build, range(2), sparsity)[1] if sparsity else None
    plain = alone(build, 1, masks)
    for batch in batches(100, 6)[:20]:
        step(stack, sgd, batch)
        for ours, expected in zip(stack.weights_by_trial()[1].values(), next(plain), strict=True):
            torch.testing.assert_close(ours[0], expected, rtol=0, atol=1e-10)


# ---- initial weights


def test_normalisation_starts_at_one_and_what_a_constructor_draws_follows_the_seed() -> None:
    state = torch.get_rng_state()
    one, same, other = (built(VisionTransformer, seed) for seed in (3, 3, 4))
    assert torch.equal(torch.get_rng_state(), state)
    assert isinstance(one, VisionTransformer) and isinstance(same, VisionTransformer)
    assert isinstance(other, VisionTransformer)
    assert torch.equal(one.norm.weight, torch.ones(16))
    assert torch.equal(one.token, same.token) and not torch.equal(one.token, other.token)
    assert not one.head.bias.any() and one.head.weight.abs().max() < 2 / 4 / 0.87
    for parameter, again in zip(one.parameters(), same.parameters(), strict=True):
        assert torch.equal(parameter, again)


def test_a_model_may_bring_its_own_initialisation() -> None:
    class Own(MLP):
        def initialise(self, generator: torch.Generator) -> None:
            for parameter in self.parameters():
                parameter.copy_(torch.rand(parameter.shape, generator=generator))

    one, other = built(Own, 5), built(Own, 6)
    expected = torch.rand(300, 784, generator=torch.Generator().manual_seed(5))
    first, second = next(one.parameters()), next(other.parameters())
    assert torch.equal(first, expected) and not torch.equal(first, second)


# ---- through the command


def test_an_mlp_trains_from_the_command_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    typed = ["model=mlp", "batch_size=16", "trial=[0,1,2]", "optimizer.lr=[0.05,0.02,1e-6]", "race=false"]
    done = dps(tmp_path, *typed, "sparsity=0.5", "goal.error=0.3", "goal.interval_steps=8", "max_steps=64")
    assert (done.code, done.stderr) == (0, "")
    found = records.read(study(tmp_path, 16, "0.5"))
    assert list(found["status"]) == ["complete", "complete", "incomplete"] and set(found["model"]) == {"mlp"}
