import math

import pytest
import torch
from networks import RESNET8, SIMPLE_CNN, Network, half
from plain import gradients as plain_gradients
from torch import Tensor

from dps.measures import noise
from dps.measures.noise import GradientNoise, gradient_noise


@pytest.mark.parametrize("pruned", [False, True], ids=["dense", "pruned"])
@pytest.mark.parametrize("network", [SIMPLE_CNN, RESNET8], ids=["simple_cnn", "resnet8"])
def test_moments_are_those_of_single_examples(network: Network, pruned: bool) -> None:
    model, weights = network.stacked(), network.weights([5])
    masks = half(weights) if pruned else {name: torch.ones_like(values) for name, values in weights.items()}
    images, labels = network.examples(21)  # more than a pass, and not a multiple of it
    found = gradient_noise(model, weights, images, labels, masks if pruned else {})

    def one(example: int) -> Tensor:
        some = slice(example, example + 1)
        parts = plain_gradients(network.plain, weights, 0, images[some], labels[some])
        return torch.cat([part.flatten() for part in parts])

    everything = torch.stack([one(example) for example in range(21)])
    gradients = everything * torch.cat([mask[0].flatten() for mask in masks.values()])
    covariance_trace = gradients.var(0, correction=0).sum()
    assert found.gradient_variance == pytest.approx(float(covariance_trace), rel=1e-9)
    assert found.gradient_squared_norm == pytest.approx(float(gradients.mean(0).square().sum()), rel=1e-9)
    assert found.noise_scale == pytest.approx(found.gradient_variance / found.gradient_squared_norm, rel=1e-12)
    variance_all_weights = everything.var(0, correction=0).sum()
    assert found.gradient_variance_all_weights == pytest.approx(float(variance_all_weights), rel=1e-9)
    assert not pruned or found.gradient_variance_all_weights > 1.1 * found.gradient_variance


def test_float32_agrees_with_float64() -> None:
    model, weights = SIMPLE_CNN.stacked(), SIMPLE_CNN.weights([5])
    images, labels = SIMPLE_CNN.examples(40)
    exact = gradient_noise(model, weights, images, labels, {})
    single = {name: values.float() for name, values in weights.items()}
    found = gradient_noise(SIMPLE_CNN.stacked(torch.float32), single, images.float(), labels, {})
    assert found.gradient_variance == pytest.approx(exact.gradient_variance, rel=1e-5)
    assert found.gradient_squared_norm == pytest.approx(exact.gradient_squared_norm, rel=1e-5)


def test_copies_of_one_example_have_no_variance() -> None:
    model, weights = SIMPLE_CNN.stacked(), SIMPLE_CNN.weights([5])
    images, labels = SIMPLE_CNN.examples(1)
    found = gradient_noise(model, weights, images.expand(20, -1, -1, -1), labels.expand(20), {})
    assert abs(found.gradient_variance) < 1e-10 * found.gradient_squared_norm


def test_any_size_of_pass_gives_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    model, weights = SIMPLE_CNN.stacked(), SIMPLE_CNN.weights([5])
    data = SIMPLE_CNN.examples(20)
    usual = gradient_noise(model, weights, *data, {})
    monkeypatch.setattr(noise, "EXAMPLES_PER_PASS", {"cpu": 3})
    other = gradient_noise(model, weights, *data, {})
    assert vars(other) == pytest.approx(vars(usual), rel=1e-12)


def test_without_a_gradient_there_is_no_scale() -> None:
    assert math.isnan(GradientNoise(1.0, 0.0, 1.0).noise_scale)
    assert GradientNoise(6.0, 1.5, 7.0).noise_scale == 4
