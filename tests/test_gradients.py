"""Gradients over the training set against plain autograd on plain networks, in float64."""

import pytest
import torch
from networks import RESNET8, SHALLUE, SIMPLE_CNN, Network
from plain import gradients

from dps.models.gradients import example_gradients, mean_gradients, squared_norms, survivors_and_all

NETWORKS = [
    pytest.param(SIMPLE_CNN, id="simple_cnn"),
    pytest.param(RESNET8, id="resnet8"),
    pytest.param(SHALLUE, id="simple_cnn_shallue"),
]


@pytest.mark.parametrize("network", NETWORKS)
def test_every_trial_has_the_gradient_of_its_mean_loss(network: Network) -> None:
    weights, (images, labels) = network.weights([4, 9]), network.examples(11)
    found = mean_gradients(network.stacked(), weights, images, labels, examples_per_pass=4)
    for row in range(2):
        expected = gradients(network.plain, weights, row, images, labels)
        for name, gradient in zip(weights, expected, strict=True):
            torch.testing.assert_close(found[name][row], gradient, rtol=0, atol=1e-13)


@pytest.mark.parametrize("network", NETWORKS)
def test_every_example_has_a_gradient_of_its_own(network: Network) -> None:
    weights, (images, labels) = network.weights([4]), network.examples(3)
    found = example_gradients(network.stacked(), weights, images, labels)
    for example in range(3):
        one = slice(example, example + 1)
        expected = gradients(network.plain, weights, 0, images[one], labels[one])
        for name, gradient in zip(weights, expected, strict=True):
            torch.testing.assert_close(found[name][example], gradient, rtol=0, atol=1e-13)


def test_float32_is_added_up_in_float64() -> None:
    weights, (images, labels) = SIMPLE_CNN.weights([0]), SIMPLE_CNN.examples(60)
    exact = mean_gradients(SIMPLE_CNN.stacked(), weights, images, labels)
    single = {name: values.float() for name, values in weights.items()}
    model = SIMPLE_CNN.stacked(torch.float32)
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
