from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import plain
import pytest
import torch
import torch.nn.functional as F
from command import dps, study
from test_trials import Small
from torch import Tensor, nn

from dps.data import sources
from dps.models import ResNet8, SimpleCNN, initialise
from dps.pruning import pruning

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


# ---- GraSP


def plain_grasp(weights: Weights, images: Tensor, labels: Tensor, temperature: float) -> Tensor:
    """w * (H g) of the small network, from the whole Hessian of its loss, all parameters in one vector."""
    flat = torch.cat([values.flatten() for values in weights.values()])
    shapes = [values.shape[1:] for values in weights.values()]

    def loss(vector: Tensor) -> Tensor:
        parts = vector.split([shape.numel() for shape in shapes])
        parameters = [part.view(shape) for part, shape in zip(parts, shapes, strict=True)]
        return F.cross_entropy(plain.small(parameters, images) / temperature, labels)

    return flat * (torch.autograd.functional.hessian(loss, flat) @ torch.func.grad(loss)(flat))


def small_trial(biases: float) -> Weights:
    _, weights = trial(Small, 6)
    return {name: values + biases * (values.ndim == 2) for name, values in weights.items()}


@pytest.mark.parametrize("temperature", [1.0, 200.0])
@pytest.mark.parametrize("biases", [0.0, 0.05])
def test_grasp_is_the_weight_times_hessian_times_gradient(temperature: float, biases: float) -> None:
    weights, (images, labels) = small_trial(biases), examples((2, 6, 6), 30)
    model = Small().double().to("meta")
    scores = pruning.grasp(model, weights, images, labels, 6, temperature=temperature, examples_per_pass=8)
    found = torch.cat([values.flatten() for values in scores.values()])
    expected = plain_grasp(weights, images, labels, temperature)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12 * float(expected.abs().max()))
    assert (found > 0).any() and (found < 0).any()
    assert biases or not any(scores[name].any() for name in scores if name.endswith("bias"))


def test_grasp_keeps_what_the_flow_of_gradients_needs() -> None:
    weights, (images, labels) = small_trial(0), examples((2, 6, 6), 30)

    def flow(changed: Weights) -> float:
        leaves = [values[0].clone().requires_grad_() for values in changed.values()]
        F.cross_entropy(plain.small(leaves, images), labels).backward()
        return sum(float(leaf.grad.square().sum()) for leaf in leaves if leaf.grad is not None)

    scores = pruning.grasp(Small().double().to("meta"), weights, images, labels, 6)["hidden.weight"][0]
    for index in (scores.argmax(), scores.argmin()):
        shrunk = {name: values.clone() for name, values in weights.items()}
        shrunk["hidden.weight"].view(-1)[index] *= 1 - 1e-5
        loss_of_flow = (flow(weights) - flow(shrunk)) / 1e-5
        assert loss_of_flow == pytest.approx(2 * float(scores.view(-1)[index]), rel=1e-2)
    kept = pruning.masks({"w": scores[None]}, 0.5)["w"][0]
    assert kept.view(-1)[scores.argmax()] and not kept.view(-1)[scores.argmin()]


def test_the_papers_temperature_ranks_otherwise() -> None:
    weights, data = small_trial(0), examples((2, 6, 6), 30)
    model = Small().double().to("meta")
    kept = [
        pruning.masks(pruning.grasp(model, weights, *data, 6, temperature=temperature), 0.9)
        for temperature in (1.0, 200.0)
    ]
    assert any((kept[0][name] != kept[1][name]).any() for name in kept[0])


def test_grasp_is_cached_for_each_temperature(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digits = sources.digits()
    few = replace(digits, train=digits.train[:100], train_labels=digits.train_labels[:100])
    monkeypatch.setattr(sources, "digits", lambda: few)
    cache = tmp_path / "cache"
    typed = [
        "data.train_examples=null",
        "pruning=grasp",
        "max_steps=1",
        "batch_size=8",
        "goal.interval_steps=1",
        "sparsity=0.5",
    ]
    for name, more in (("a", []), ("b", ["sparsity=0.9"]), ("c", ["pruning.criterion.temperature=200"])):
        (tmp_path / name).mkdir()
        assert dps(tmp_path / name, *typed, *more, cache=str(cache)).code == 0
    assert len(list((cache / "scores").iterdir())) == 2


# ---- SynFlow


def plain_synflow(weights: Weights, sparsity: float, rounds: int) -> tuple[Tensor, Tensor]:
    """Algorithm 1 on torch's own layers: the scores of the last round, and the mask of what survives it, as vectors."""
    layers = [nn.Conv2d(1, 32, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(32, 64, 5), nn.ReLU(), nn.MaxPool2d(2)]
    model = nn.Sequential(*layers, nn.Flatten(), nn.Linear(1024, 10)).double()
    for parameter, values in zip(model.parameters(), weights.values(), strict=True):
        parameter.data = values[0].abs()
    alive = torch.ones(sum(parameter.numel() for parameter in model.parameters()), dtype=torch.bool)
    scores = torch.zeros(0)
    for k in range(1, rounds + 1):
        model.zero_grad()
        model(torch.ones(1, 1, 28, 28, dtype=torch.float64)).sum().backward()
        flows = [(parameter * parameter.grad).detach().flatten() for parameter in model.parameters()]
        scores = torch.cat(flows)
        number = round(len(alive) * (1 - sparsity) ** (k / rounds))
        threshold = scores[alive].sort(descending=True).values[number - 1]
        alive &= scores >= threshold
        first = 0
        for parameter in model.parameters():
            parameter.data *= alive[first : first + parameter.numel()].view(parameter.shape)
            first += parameter.numel()
    return scores, alive


@pytest.mark.parametrize(("sparsity", "rounds"), [(0.9, 1), (0.9, 7), (0.7, 20), (0.995, 20)])
def test_synflow_is_the_papers_algorithm(sparsity: float, rounds: int) -> None:
    model, weights = trial(SimpleCNN, 3)
    found = pruning.synflow(model, weights, *examples((1, 28, 28), 2), 3, sparsity=sparsity, rounds=rounds)
    scores, alive = plain_synflow(weights, sparsity, rounds)
    flat = torch.cat([values.flatten() for values in found.values()])
    torch.testing.assert_close(flat[flat >= 0], scores[flat >= 0], rtol=1e-9, atol=0)
    kept = torch.cat([mask.flatten() for mask in pruning.masks(found, sparsity).values()])
    assert torch.equal(kept, alive)
    assert int(kept.sum()) == round(62_346 * (1 - sparsity))


def test_synflow_flows_through_every_layer_alike() -> None:
    model, weights = trial(SimpleCNN, 3)
    scores = pruning.synflow(model, weights, *examples((1, 28, 28), 2), 3, sparsity=0.9, rounds=1)
    flows = {name: float(values.sum()) for name, values in scores.items()}
    assert flows["conv1.weight"] > 0
    assert flows["conv2.weight"] == pytest.approx(flows["conv1.weight"], rel=1e-12)
    assert flows["dense.weight"] == pytest.approx(flows["conv1.weight"], rel=1e-12)
    assert not any(flows[name] for name in flows if name.endswith("bias"))


def test_synflow_empties_no_layer() -> None:
    model, weights = trial(SimpleCNN, 3)
    data = examples((1, 28, 28), 2)
    scores = pruning.synflow(model, weights, *data, 3, sparsity=0.9995)
    assert pruning.emptied_layers(pruning.masks(scores, 0.9995)) == []
    assert pruning.emptied_layers(pruning.masks(pruning.magnitude(model, weights, *data, 3), 0.9995)) != []


def test_synflow_sees_no_data_and_leaves_the_weights_alone() -> None:
    model, weights = trial(SimpleCNN, 3)
    before = {name: values.clone() for name, values in weights.items()}
    images, labels = examples((1, 28, 28), 4)
    one = pruning.synflow(model, weights, images, labels, 3, sparsity=0.9, rounds=3)
    other = pruning.synflow(model, weights, -7 * images[:1], labels[:1], 4, sparsity=0.9, rounds=3)
    for name in weights:
        assert torch.equal(one[name], other[name])
        assert torch.equal(weights[name], before[name]) and not weights[name].requires_grad


def test_synflow_prunes_to_the_studys_sparsity(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    typed = ["pruning=synflow", "max_steps=1", "batch_size=8", "sparsity=0.99", "pruning.criterion.rounds=5"]
    assert dps(tmp_path, *typed, "goal.error=0", cache=str(cache)).code == 0
    assert not (cache / "scores").exists()
    config = (study(tmp_path, 8, "0.99") / ".hydra" / "config.yaml").read_text()
    assert config.count("sparsity: 0.99") == 3


@pytest.mark.parametrize(
    ("criterion", "option"), [("grasp", "temperature=0"), ("grasp", "temperature=-1"), ("synflow", "rounds=0")]
)
def test_options_of_a_criterion_are_checked(tmp_path: Path, criterion: str, option: str) -> None:
    done = dps(tmp_path, f"pruning={criterion}", f"pruning.criterion.{option}", "sparsity=0.5", "batch_size=8")
    assert done.code == 1
    assert (
        done.stderr.startswith(f"dps: pruning.criterion.{option} must be a positive ") and done.stderr.count("\n") == 1
    )


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
