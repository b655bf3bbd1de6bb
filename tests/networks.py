"""Networks that tests train, each beside its twin in plain PyTorch, and stacks of their trials."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import plain
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dps.models import ResNet8, SimpleCNN, SimpleCNNShallue, StackedModel, Weights, initialise
from dps.models.layers import Conv2d, Linear
from dps.protocol.metaparameters import TABLE
from dps.stack.schedules import constant, linear
from dps.stack.sgd import SGD
from dps.stack.stack import Stack

Batch = tuple[Tensor, Tensor]
Masks = dict[int, Weights]
IDLE = {row.name: row.idle for row in TABLE}


class Small(nn.Module):
    """The stack's layers on images of 6x6 pixels, small enough for long runs; plain.small is the same network."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = Conv2d(2, 4, 3, 2, same=True)
        self.hidden = Linear(36, 8)
        self.dense = Linear(8, 10)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.dense(F.relu(self.hidden(F.relu(self.conv(x)))))
        return logits


@dataclass(frozen=True)
class Network:
    """A network of the package, the same in plain PyTorch, and the shape (C, H, W) of its images."""

    build: Callable[[], nn.Module]
    plain: plain.Network
    image: tuple[int, int, int]
    products: bool = False

    def examples(self, number: int) -> Batch:
        """Images (N, C, H, W) in float64 and labels (N,), always the same ones."""
        generator = torch.Generator().manual_seed(3)
        images = torch.randn(number, *self.image, dtype=torch.float64, generator=generator)
        return images, torch.randint(0, 10, (number,), generator=generator)

    def batches(self, number: int, size: int, dtype: torch.dtype = torch.float64) -> list[Batch]:
        generator = torch.Generator().manual_seed(17)
        return [
            (
                torch.randn(size, *self.image, generator=generator).to(dtype),
                torch.randint(0, 10, (size,), generator=generator),
            )
            for _ in range(number)
        ]

    def stacked(self, dtype: torch.dtype = torch.float64, device: str = "cpu") -> StackedModel:
        """The network as it is run for several trials at once."""
        return StackedModel(self.build, self.examples(2)[0].to(device, dtype), self.products)

    def initial(self, seed: int, dtype: torch.dtype = torch.float64) -> Weights:
        model = self.build().to(dtype)
        initialise(model, seed)
        return {name: values.detach() for name, values in model.named_parameters()}

    def weights(self, seeds: Iterable[int], biases: float = 0.1) -> Weights:
        """Weights (S, ...) of trials in float64, initial but for biases of this standard deviation."""
        trials = []
        for seed in seeds:
            generator = torch.Generator().manual_seed(seed)
            trials.append(
                {
                    name: values
                    if values.ndim > 1
                    else biases * torch.randn(values.shape, generator=generator).double()
                    for name, values in self.initial(seed).items()
                }
            )
        return {name: torch.stack([own[name] for own in trials]) for name in trials[0]}

    def random_masks(self, seeds: Iterable[int], sparsity: float) -> Masks:
        """Masks (1, ...) for each trial; biases, which stay at zero where pruned, are pruned like weights."""
        found = {}
        for seed in seeds:
            generator = torch.Generator().manual_seed(500 + seed)
            found[seed] = {
                name: (torch.rand(1, *values.shape, generator=generator) >= sparsity).float()
                for name, values in self.initial(seed).items()
            }
        return found


SMALL = Network(Small, plain.small, (2, 6, 6))
SIMPLE_CNN = Network(SimpleCNN, plain.simple_cnn, (1, 28, 28))
PRODUCTS = replace(SIMPLE_CNN, products=True)
SHALLUE = Network(SimpleCNNShallue, plain.simple_cnn_shallue, (1, 28, 28))
RESNET8 = Network(ResNet8, plain.resnet8, (3, 32, 32))


def half(weights: Weights) -> Weights:
    """Masks of the weights' shapes that keep about half of each."""
    generator = torch.Generator().manual_seed(7)
    return {name: (torch.rand(w.shape, generator=generator) < 0.5).to(w) for name, w in weights.items()}


def options(optimizer: str, seed: int) -> dict[str, Any]:
    """Metaparameters that differ from trial to trial, in the words of torch's own SGD."""
    found: dict[str, Any] = {"lr": 1e-3 * 1.2 ** (seed % 16)}
    if optimizer != "sgd":
        found["momentum"] = 0.5 + 0.45 * (seed % 7) / 6
    return found | ({"nesterov": True} if optimizer == "nesterov" else {})


class Training:
    """The trials of a study with their optimizer, one step at a time."""

    def __init__(
        self,
        network: Network,
        seeds: Sequence[int],
        trials_per_slice: int,
        *,
        optimizer: str = "momentum",
        dtype: torch.dtype = torch.float64,
        examples_per_pass: int = 256,
        masks: Masks | None = None,
        lr: Mapping[int, float] | None = None,
        decay: Mapping[str, Sequence[float]] | None = None,
        device: str = "cpu",
    ):
        model = network.stacked(dtype, device)
        self.stack = Stack(model, {seed: seed for seed in seeds}, trials_per_slice, examples_per_pass, dtype).to(device)
        own = [options(optimizer, seed) for seed in seeds]
        rates = [(lr or {}).get(seed, found["lr"]) for seed, found in zip(seeds, own, strict=True)]
        columns: dict[str, Any] = {name: self._padded(name, values) for name, values in (decay or {}).items()}
        self.sgd = SGD(
            [list(part.weights) for part in self.stack.slices],
            self._padded("lr", rates),
            None if optimizer == "sgd" else self._padded("momentum", [found["momentum"] for found in own]),
            optimizer == "nesterov",
            partial(linear, **columns) if columns else constant,
        )
        if masks is not None:
            self.stack.prune(masks)

    def _padded(self, name: str, values: Sequence[float]) -> list[float]:
        return [*values, *[IDLE[name]] * (len(self.stack.rows) - len(values))]

    def step(self, batch: Batch) -> Tensor:
        losses = self.stack.backward(*batch)
        self.sgd.step()
        self.sgd.zero_grad()
        return losses

    def retire(self, *trials: int) -> None:
        self.sgd.follow(*self.stack.retire(trials))

    def weights(self, trial: int) -> list[Tensor]:
        return [values[0].clone() for values in self.stack.weights_by_trial()[trial].values()]


def assert_equal(one: Sequence[Tensor], other: Sequence[Tensor]) -> None:
    for values, same in zip(one, other, strict=True):
        assert values.isfinite().all()
        assert torch.equal(values, same)


def assert_close(one: Sequence[Tensor], other: Sequence[Tensor], atol: float = 1e-10) -> None:
    for values, same in zip(one, other, strict=True):
        torch.testing.assert_close(values, same, rtol=0, atol=atol)
