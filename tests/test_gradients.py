"""Gradients over the training set against plain autograd on plain networks, in float64."""

from collections.abc import Callable, Iterable

import plain
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dps.models import ResNet8, SimpleCNN, SimpleCNNShallue, initialise
from dps.models.gradients import Weights, example_gradients, mean_gradients, squared_norms, survivors_and_all

NETWORKS = [
    pytest.param(SimpleCNN, plain.simple_cnn, (1, 28, 28), id="simple_cnn"),
    pytest.param(ResNet8, plain.resnet8, (3, 32, 32), id="resnet8"),
    pytest.param(SimpleCNNShallue, plain.simple_cnn_shallue, (1, 28, 28), id="simple_cnn_shallue"),
]


def stack(build: Callable[[], nn.Module], seeds: Iterable[int]) -> tuple[nn.Module, Weights]:
    """A float64 model without values, and the weights (S, ...) of trials with biases that are not zero."""
    model = build().double()
    trials = []
    for seed in seeds:
        initialise(model, seed)
        generator = torch.Generator().manual_seed(seed)
        trials.append(
            [
                p.detach().clone() if p.ndim > 1 else torch.randn(p.shape, generator=generator).double() / 10
                for p in model.parameters()
            ]
        )
    names = [name for name, _ in model.named_parameters()]
    weights = {name: torch.stack(values) for name, values in zip(names, zip(*trials, strict=True), strict=True)}
    return model.to("meta"), weights


def half(weights: Weights) -> Weights:
    generator = torch.Generator().manual_seed(7)
    return {name: (torch.rand(w.shape, generator=generator) < 0.5).to(w) for name, w in weights.items()}


def examples(image: tuple[int, ...], number: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    images = torch.randn(number, *image, dtype=torch.float64, generator=generator)
    return images, torch.randint(0, 10, (number,), generator=generator)


def plain_gradients(network: plain.Network, weights: Weights, row: int, images: Tensor, labels: Tensor) -> list[Tensor]:
    leaves = [values[row].clone().requires_grad_() for values in weights.values()]
    F.cross_entropy(network(leaves, images), labels).backward()
    found = []
    for leaf in leaves:
        assert leaf.grad is not None
        found.append(leaf.grad)
    return found


@pytest.mark.parametrize(("build", "network", "image"), NETWORKS)
def test_every_trial_has_the_gradient_of_its_mean_loss(
    build: Callable[[], nn.Module], network: plain.Network, image: tuple[int, ...]
) -> None:
    model, weights = stack(build, [4, 9])
    images, labels = examples(image, 11)
    found = mean_gradients(model, weights, images, labels, examples_per_pass=4)
    for row in range(2):
        expected = plain_gradients(network, weights, row, images, labels)
        for name, gradient in zip(weights, expected, strict=True):
            torch.testing.assert_close(found[name][row], gradient, rtol=0, atol=1e-13)


@pytest.mark.parametrize(("build", "network", "image"), NETWORKS)
def test_every_example_has_a_gradient_of_its_own(
    build: Callable[[], nn.Module], network: plain.Network, image: tuple[int, ...]
) -> None:
    model, weights = stack(build, [4])
    images, labels = examples(image, 3)
    found = example_gradients(model, weights, images, labels)
    for example in range(3):
        one = slice(example, example + 1)
        expected = plain_gradients(network, weights, 0, images[one], labels[one])
        for name, gradient in zip(weights, expected, strict=True):
            torch.testing.assert_close(found[name][example], gradient, rtol=0, atol=1e-13)


def test_float32_is_added_up_in_float64() -> None:
    model, weights = stack(SimpleCNN, [0])
    images, labels = examples((1, 28, 28), 60)
    exact = mean_gradients(model, weights, images, labels)
    single = {name: values.float() for name, values in weights.items()}
    found = mean_gradients(model, single, images.float(), labels, examples_per_pass=1)
    assert all(values.dtype == torch.float64 for values in found.values())
    error = squared_norms({name: found[name] - exact[name] for name in exact}).sqrt()
    assert float(error / squared_norms(exact).sqrt()) < 1e-6


def test_squared_norms_are_over_all_parameters() -> None:
    found = squared_norms({"a": torch.tensor([[[3.0]], [[0.0]]]), "b": torch.tensor([[4.0, 12.0], [0.5, 0.0]])})
    assert found.dtype == torch.float64 and found.tolist() == [169.0, 0.25]


def test_pruned_weights_count_over_all_weights_alone() -> None:
    vectors = {"a": torch.tensor([[[3.0]], [[1.0]]]), "b": torch.tensor([[4.0, 12.0], [2.0, 0.5]])}
    masks = {"a": torch.tensor([[[1.0]], [[0.0]]]), "b": torch.tensor([[0.0, 1.0], [1.0, 1.0]])}
    assert survivors_and_all(vectors, masks).tolist() == [[153.0, 4.25], [169.0, 5.25]]
    assert survivors_and_all(vectors, {}).tolist() == [[169.0, 5.25]] * 2
