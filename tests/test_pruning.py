import functools
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import plain
import pytest
import torch
import torch.nn.functional as F
from command import dps, study
from networks import RESNET8, SIMPLE_CNN, SMALL, Network
from torch import Tensor, nn

from dps import pruning
from dps.data import sources
from dps.models import Weights
from dps.pruning import Unpruned

EXAMPLES = 250  # not a multiple of any size of pass below


def unpruned(
    network: Network, seed: int, examples: int = EXAMPLES, biases: float = 0, sparsity: float = 0.9
) -> Unpruned:
    """A trial in float64 at initialisation, with biases that are zero if nothing else is said."""
    weights = network.weights([seed], biases)
    return Unpruned(network.stacked(), weights, *network.examples(examples), seed, sparsity)


def plain_snip(network: plain.Network, trial: Unpruned) -> list[Tensor]:
    """The sum of the gradients of batches of 100, each of its summed loss, over N; the absolute value at the end."""
    parameters = [values[0].clone().requires_grad_() for values in trial.weights.values()]
    for first in range(0, len(trial.labels), 100):
        some = slice(first, first + 100)
        F.cross_entropy(network(parameters, trial.images[some]), trial.labels[some], reduction="sum").backward()
    scores = []
    for parameter in parameters:
        assert parameter.grad is not None
        scores.append((parameter.detach() * parameter.grad / len(trial.labels)).abs())
    return scores


def kept_of(stacked: Weights) -> int:
    return sum(int(mask.sum()) for mask in stacked.values())


# ---- criteria


@pytest.mark.parametrize(
    ("network", "number"),
    [pytest.param(SIMPLE_CNN, EXAMPLES, id="simple_cnn"), pytest.param(RESNET8, 110, id="resnet8")],
)
def test_snip_is_the_sensitivity_of_the_plain_network(network: Network, number: int) -> None:
    trial = unpruned(network, 4, number)
    scores = pruning.snip(trial)
    for (name, found), expected in zip(scores.items(), plain_snip(network.plain, trial), strict=True):
        assert found.shape == trial.weights[name].shape
        torch.testing.assert_close(found[0], expected, rtol=0, atol=1e-14)


def test_snip_is_the_change_of_the_loss_by_a_mask() -> None:
    trial = unpruned(SIMPLE_CNN, 0, 20)
    scores = pruning.snip(trial)

    def loss(factor: float) -> Tensor:
        parameters = [values[0].clone() for values in trial.weights.values()]
        parameters[0][5, 0, 2, 3] *= factor
        return F.cross_entropy(plain.simple_cnn(parameters, trial.images), trial.labels)

    slope = (loss(1 + 1e-5) - loss(1 - 1e-5)) / 2e-5
    assert scores["conv1.weight"][0, 5, 0, 2, 3] == pytest.approx(float(slope.abs()), rel=1e-4)


@pytest.mark.parametrize("examples_per_pass", [1, 64, 100, 1000])
def test_any_size_of_pass_gives_the_same_sensitivity(examples_per_pass: int) -> None:
    trial = unpruned(SIMPLE_CNN, 1, 130)
    one, other = pruning.snip(trial), pruning.snip(trial, examples_per_pass=examples_per_pass)
    for name in one:
        torch.testing.assert_close(other[name], one[name], rtol=0, atol=1e-14)


def test_snip_leaves_the_weights_alone_and_reports_every_pass() -> None:
    trial = unpruned(SIMPLE_CNN, 1)
    before = {name: values.clone() for name, values in trial.weights.items()}
    seen: list[int] = []

    def progress(passes: Iterable[int]) -> Iterable[int]:
        for first in passes:
            seen.append(first)
            yield first

    pruning.snip(replace(trial, progress=progress), examples_per_pass=100)
    assert seen == [0, 100, 200]
    for name, values in trial.weights.items():
        assert torch.equal(values, before[name])
        assert not values.requires_grad


def test_biases_start_at_zero_so_that_none_survives_half_of_the_pruning() -> None:
    scores = pruning.snip(unpruned(SIMPLE_CNN, 2))
    biases = [name for name in scores if name.endswith("bias")]
    assert len(biases) == 3
    assert not any(scores[name].any() for name in biases)
    for sparsity in (0.5, 0.9):
        masks = pruning.masks(scores, sparsity)
        assert kept_of(masks) == round(62_346 * (1 - sparsity))
        assert not any(masks[name].any() for name in biases)


def test_magnitude_is_the_absolute_weight() -> None:
    trial = unpruned(SIMPLE_CNN, 0, 2)
    masks = pruning.masks(pruning.magnitude(trial), 0.9)
    flat = torch.cat([values.flatten() for values in trial.weights.values()])
    kept = torch.cat([mask.flatten() for mask in masks.values()]).bool()
    assert flat[kept].abs().min() >= flat[~kept].abs().max()
    assert kept.sum() == 6_235


def test_random_is_a_function_of_the_seed() -> None:
    trial = unpruned(SIMPLE_CNN, 0, 2)
    first = pruning.random(trial)
    torch.manual_seed(99)
    again, other = pruning.random(trial), pruning.random(replace(trial, seed=1))
    assert list(first) == list(trial.weights)
    for name in first:
        assert first[name].shape == trial.weights[name].shape
        assert torch.equal(first[name], again[name])
        assert not (first[name] == other[name]).any()
    flat = torch.cat([values.flatten() for values in first.values()])
    assert flat.unique().numel() == flat.numel()


def test_random_prunes_every_layer_alike() -> None:
    scores = pruning.random(unpruned(SIMPLE_CNN, 5, 2))
    for mask in pruning.masks(scores, 0.7).values():
        n = mask.numel()
        assert abs(mask.double().mean() - 0.3) < 5 * (0.3 * 0.7 / n) ** 0.5 + 1 / n


# ---- GraSP


def plain_grasp(trial: Unpruned, temperature: float) -> Tensor:
    """w * (H g) of the small network, from the whole Hessian of its loss, all parameters in one vector."""
    flat = torch.cat([values.flatten() for values in trial.weights.values()])
    shapes = [values.shape[1:] for values in trial.weights.values()]

    def loss(vector: Tensor) -> Tensor:
        parts = vector.split([shape.numel() for shape in shapes])
        parameters = [part.view(shape) for part, shape in zip(parts, shapes, strict=True)]
        return F.cross_entropy(plain.small(parameters, trial.images) / temperature, trial.labels)

    return flat * (torch.autograd.functional.hessian(loss, flat) @ torch.func.grad(loss)(flat))


def small_trial(biases: float) -> Unpruned:
    """A trial of the small network whose biases all have the same value."""
    trial = unpruned(SMALL, 6, 30)
    return replace(
        trial, weights={name: values + biases * (values.ndim == 2) for name, values in trial.weights.items()}
    )


@pytest.mark.parametrize("temperature", [1.0, 200.0])
@pytest.mark.parametrize("biases", [0.0, 0.05])
def test_grasp_is_the_weight_times_hessian_times_gradient(temperature: float, biases: float) -> None:
    trial = small_trial(biases)
    scores = pruning.grasp(trial, temperature=temperature, examples_per_pass=8)
    found = torch.cat([values.flatten() for values in scores.values()])
    expected = plain_grasp(trial, temperature)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12 * float(expected.abs().max()))
    assert (found > 0).any() and (found < 0).any()
    assert biases or not any(scores[name].any() for name in scores if name.endswith("bias"))


def test_grasp_keeps_what_the_flow_of_gradients_needs() -> None:
    trial = small_trial(0)

    def flow(changed: Weights) -> float:
        leaves = [values[0].clone().requires_grad_() for values in changed.values()]
        F.cross_entropy(plain.small(leaves, trial.images), trial.labels).backward()
        return sum(float(leaf.grad.square().sum()) for leaf in leaves if leaf.grad is not None)

    scores = pruning.grasp(trial)["hidden.weight"][0]
    for index in (scores.argmax(), scores.argmin()):
        shrunk = {name: values.clone() for name, values in trial.weights.items()}
        shrunk["hidden.weight"].view(-1)[index] *= 1 - 1e-5
        loss_of_flow = (flow(trial.weights) - flow(shrunk)) / 1e-5
        assert loss_of_flow == pytest.approx(2 * float(scores.view(-1)[index]), rel=1e-2)
    kept = pruning.masks({"w": scores[None]}, 0.5)["w"][0]
    assert kept.view(-1)[scores.argmax()] and not kept.view(-1)[scores.argmin()]


def test_the_papers_temperature_ranks_otherwise() -> None:
    trial = small_trial(0)
    kept = [pruning.masks(pruning.grasp(trial, temperature=temperature), 0.9) for temperature in (1.0, 200.0)]
    assert any((kept[0][name] != kept[1][name]).any() for name in kept[0])


@pytest.mark.slow
def test_grasp_is_cached_for_each_temperature(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digits = sources.digits()
    few = replace(digits, train=digits.train[:100], train_labels=digits.train_labels[:100])
    monkeypatch.setattr(sources, "digits", lambda: few)
    monkeypatch.setenv("DPS_ALLOW", __name__)
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
        parameters = list(model.parameters())
        slopes = torch.autograd.grad(model(torch.ones(1, 1, 28, 28, dtype=torch.float64)).sum(), parameters)
        scores = torch.cat([(w.detach() * slope).flatten() for w, slope in zip(parameters, slopes, strict=True)])
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
    trial = unpruned(SIMPLE_CNN, 3, 2, sparsity=sparsity)
    found = pruning.synflow(trial, rounds=rounds)
    scores, alive = plain_synflow(trial.weights, sparsity, rounds)
    flat = torch.cat([values.flatten() for values in found.values()])
    torch.testing.assert_close(flat[flat >= 0], scores[flat >= 0], rtol=1e-9, atol=0)
    kept = torch.cat([mask.flatten() for mask in pruning.masks(found, sparsity).values()])
    assert torch.equal(kept, alive)
    assert int(kept.sum()) == round(62_346 * (1 - sparsity))


def test_synflow_flows_through_every_layer_alike() -> None:
    scores = pruning.synflow(unpruned(SIMPLE_CNN, 3, 2), rounds=1)
    flows = {name: float(values.sum()) for name, values in scores.items()}
    assert flows["conv1.weight"] > 0
    assert flows["conv2.weight"] == pytest.approx(flows["conv1.weight"], rel=1e-12)
    assert flows["dense.weight"] == pytest.approx(flows["conv1.weight"], rel=1e-12)
    assert not any(flows[name] for name in flows if name.endswith("bias"))


def test_synflow_empties_no_layer() -> None:
    trial = unpruned(SIMPLE_CNN, 3, 2, sparsity=0.9995)
    assert pruning.emptied_layers(pruning.masks(pruning.synflow(trial), 0.9995)) == []
    assert pruning.emptied_layers(pruning.masks(pruning.magnitude(trial), 0.9995)) != []


def test_synflow_sees_no_data_and_leaves_the_weights_alone() -> None:
    trial = unpruned(SIMPLE_CNN, 3, 4)
    before = {name: values.clone() for name, values in trial.weights.items()}
    one = pruning.synflow(trial, rounds=3)
    elsewhere = replace(trial, images=-7 * trial.images[:1], labels=trial.labels[:1], seed=4)
    other = pruning.synflow(elsewhere, rounds=3)
    for name, values in trial.weights.items():
        assert torch.equal(one[name], other[name])
        assert torch.equal(values, before[name]) and not values.requires_grad


def test_synflow_prunes_to_the_studys_sparsity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, float, dict[str, int]]] = []
    synflow = pruning.synflow

    @functools.wraps(synflow)
    def spy(trial: Unpruned, **options: int) -> Weights:
        asked.append((trial.seed, trial.sparsity, options))
        return synflow(trial, **options)

    monkeypatch.setattr(pruning, "synflow", spy)
    cache = tmp_path / "cache"
    typed = ["pruning=synflow", "max_steps=1", "batch_size=8", "sparsity=0.99", "pruning.criterion.rounds=5"]
    assert dps(tmp_path, *typed, "goal.error=0", cache=str(cache)).code == 0
    assert asked == [(0, 0.99, {"rounds": 5})]
    assert not (cache / "scores").exists()
    config = (study(tmp_path, 8, "0.99") / ".hydra" / "config.yaml").read_text()
    assert config.count("sparsity: 0.99") == 1


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
