from collections.abc import Callable, Iterable

import plain
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dps import pruning
from dps.models import ResNet8, SimpleCNN, initialise

Weights = dict[str, Tensor]
EXAMPLES = 250  # not a multiple of any size of pass below


def trial(build: Callable[[], nn.Module], seed: int) -> tuple[nn.Module, Weights]:
    """A float64 model without values, and its initial weights as the stack of one that criteria get."""
    model = build().double()
    initialise(model, seed)
    weights = {name: values.detach()[None] for name, values in model.named_parameters()}
    return model.to("meta"), weights


def examples(image: tuple[int, ...], number: int = EXAMPLES) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    images = torch.randn(number, *image, dtype=torch.float64, generator=generator)
    return images, torch.randint(0, 10, (number,), generator=generator)


def plain_snip(network: plain.Network, weights: Weights, images: Tensor, labels: Tensor) -> list[Tensor]:
    """The sum of the gradients of batches of 100, each of its summed loss, over N; the absolute value at the end."""
    parameters = [values[0].clone().requires_grad_() for values in weights.values()]
    for first in range(0, len(labels), 100):
        some = slice(first, first + 100)
        F.cross_entropy(network(parameters, images[some]), labels[some], reduction="sum").backward()
    scores = []
    for parameter in parameters:
        assert parameter.grad is not None
        scores.append((parameter.detach() * parameter.grad / len(labels)).abs())
    return scores


def kept_of(stacked: Weights) -> int:
    return sum(int(mask.sum()) for mask in stacked.values())


# ---- criteria


@pytest.mark.parametrize(
    ("build", "network", "image", "number"),
    [
        pytest.param(SimpleCNN, plain.simple_cnn, (1, 28, 28), EXAMPLES, id="simple_cnn"),
        pytest.param(ResNet8, plain.resnet8, (3, 32, 32), 110, id="resnet8"),
    ],
)
def test_snip_is_the_sensitivity_of_the_plain_network(
    build: Callable[[], nn.Module], network: plain.Network, image: tuple[int, ...], number: int
) -> None:
    model, weights = trial(build, 4)
    images, labels = examples(image, number)
    scores = pruning.snip(model, weights, images, labels, seed=4)
    for (name, found), expected in zip(scores.items(), plain_snip(network, weights, images, labels), strict=True):
        assert found.shape == weights[name].shape
        torch.testing.assert_close(found[0], expected, rtol=0, atol=1e-14)


def test_snip_is_the_change_of_the_loss_by_a_mask() -> None:
    model, weights = trial(SimpleCNN, 0)
    images, labels = examples((1, 28, 28), 20)
    scores = pruning.snip(model, weights, images, labels, seed=0)

    def loss(factor: float) -> Tensor:
        parameters = [values[0].clone() for values in weights.values()]
        parameters[0][5, 0, 2, 3] *= factor
        return F.cross_entropy(plain.simple_cnn(parameters, images), labels)

    slope = (loss(1 + 1e-5) - loss(1 - 1e-5)) / 2e-5
    assert scores["conv1.weight"][0, 5, 0, 2, 3] == pytest.approx(float(slope.abs()), rel=1e-4)


@pytest.mark.parametrize("examples_per_pass", [1, 64, 100, 1000])
def test_any_size_of_pass_gives_the_same_sensitivity(examples_per_pass: int) -> None:
    model, weights = trial(SimpleCNN, 1)
    images, labels = examples((1, 28, 28), 130)
    one = pruning.snip(model, weights, images, labels, seed=1)
    other = pruning.snip(model, weights, images, labels, seed=1, examples_per_pass=examples_per_pass)
    for name in one:
        torch.testing.assert_close(other[name], one[name], rtol=0, atol=1e-14)


def test_snip_leaves_the_weights_alone_and_reports_every_pass() -> None:
    model, weights = trial(SimpleCNN, 1)
    before = {name: values.clone() for name, values in weights.items()}
    seen: list[int] = []

    def progress(passes: Iterable[int]) -> Iterable[int]:
        for first in passes:
            seen.append(first)
            yield first

    pruning.snip(model, weights, *examples((1, 28, 28)), seed=1, progress=progress, examples_per_pass=100)
    assert seen == [0, 100, 200]
    for name, values in weights.items():
        assert torch.equal(values, before[name])
        assert not values.requires_grad


def test_biases_start_at_zero_so_that_none_survives_half_of_the_pruning() -> None:
    model, weights = trial(SimpleCNN, 2)
    scores = pruning.snip(model, weights, *examples((1, 28, 28)), seed=2)
    biases = [name for name in scores if name.endswith("bias")]
    assert len(biases) == 3
    assert not any(scores[name].any() for name in biases)
    for sparsity in (0.5, 0.9):
        masks = pruning.masks(scores, sparsity)
        assert kept_of(masks) == round(62_346 * (1 - sparsity))
        assert not any(masks[name].any() for name in biases)


def test_magnitude_is_the_absolute_weight() -> None:
    model, weights = trial(SimpleCNN, 0)
    scores = pruning.magnitude(model, weights, *examples((1, 28, 28), 2), seed=0)
    masks = pruning.masks(scores, 0.9)
    flat = torch.cat([values.flatten() for values in weights.values()])
    kept = torch.cat([mask.flatten() for mask in masks.values()]).bool()
    assert flat[kept].abs().min() >= flat[~kept].abs().max()
    assert kept.sum() == 6_235


def test_random_is_a_function_of_the_seed() -> None:
    model, weights = trial(SimpleCNN, 0)
    data = examples((1, 28, 28), 2)
    first = pruning.random(model, weights, *data, seed=0)
    torch.manual_seed(99)
    again, other = pruning.random(model, weights, *data, seed=0), pruning.random(model, weights, *data, seed=1)
    assert list(first) == list(weights)
    for name in first:
        assert first[name].shape == weights[name].shape
        assert torch.equal(first[name], again[name])
        assert not (first[name] == other[name]).any()
    flat = torch.cat([values.flatten() for values in first.values()])
    assert flat.unique().numel() == flat.numel()


def test_random_prunes_every_layer_alike() -> None:
    model, weights = trial(SimpleCNN, 0)
    scores = pruning.random(model, weights, *examples((1, 28, 28), 2), seed=5)
    for mask in pruning.masks(scores, 0.7).values():
        n = mask.numel()
        assert abs(mask.double().mean() - 0.3) < 5 * (0.3 * 0.7 / n) ** 0.5 + 1 / n


# ---- masks


@pytest.mark.parametrize(
    ("parameters", "sparsity", "kept"),
    [
        (62_346, 0.9, 6_235),
        (62_346, 0.5, 31_173),
        (62_346, 0.7, 18_704),
        (75_050, 0.9, 7_505),
        (3_274_634, 0.9, 327_463),
        (10, 0.0, 10),
        (10, 0.1, 9),
        (62_346, 0.999999, 0),
    ],
)
def test_number_kept(parameters: int, sparsity: float, kept: int) -> None:
    assert pruning.kept_parameters(parameters, sparsity) == kept


@pytest.mark.parametrize("sparsity", [0.0, 0.1, 0.37, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("levels", [1, 2, 5, None], ids=["all equal", "two values", "five values", "all different"])
def test_exactly_as_many_as_wanted_survive_and_they_are_the_highest(sparsity: float, levels: int | None) -> None:
    generator = torch.Generator().manual_seed(8)
    shapes = {"a.weight": (1, 7, 9, 3, 3), "a.bias": (1, 7), "b.weight": (1, 20, 13), "b.bias": (1, 20)}
    scores = {
        name: torch.rand(shape, dtype=torch.float64, generator=generator)
        if levels is None
        else torch.randint(levels, shape, generator=generator).double()
        for name, shape in shapes.items()
    }
    masks = pruning.masks(scores, sparsity)
    flat = torch.cat([values.flatten() for values in scores.values()]).tolist()
    wanted = round(len(flat) * (1 - sparsity))
    best_first = sorted(range(len(flat)), key=lambda i: (-flat[i], i))  # ties: the first parameter first
    expected = torch.zeros(len(flat), dtype=torch.bool)
    expected[best_first[:wanted]] = True
    assert torch.equal(torch.cat([mask.flatten() for mask in masks.values()]).bool(), expected)
    assert {name: tuple(mask.shape) for name, mask in masks.items()} == shapes


def test_scores_that_differ_in_the_last_bit_of_float64_are_told_apart() -> None:
    scores = {"w": torch.tensor([[1.0, 1.0 + 2**-52, 1.0]], dtype=torch.float64)}
    assert pruning.masks(scores, 2 / 3)["w"].tolist() == [[False, True, False]]


def test_emptied_layers_are_those_without_any_weight() -> None:
    kept = {
        "conv.weight": torch.zeros(1, 2, 1, 3, 3),
        "conv.bias": torch.ones(1, 2),
        "hidden.weight": torch.tensor([[[0.0, 1.0]]]),
        "hidden.bias": torch.zeros(1, 1),
        "blocks.0.dense.weight": torch.zeros(1, 4, 2),
        "blocks.0.dense.bias": torch.zeros(1, 4),
    }
    assert pruning.emptied_layers(kept) == ["conv", "blocks.0.dense"]
