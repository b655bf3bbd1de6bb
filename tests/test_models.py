import plain
import pytest
import torch
from torch import nn

from dps.models import MLP, ResNet8, SimpleCNN, SimpleCNNShallue, StackedModel, initialise

MODELS = [
    pytest.param(SimpleCNN, plain.simple_cnn, (1, 28, 28), id="simple_cnn"),
    pytest.param(SimpleCNNShallue, plain.simple_cnn_shallue, (1, 28, 28), id="simple_cnn_shallue"),
    pytest.param(ResNet8, plain.resnet8, (3, 32, 32), id="resnet8"),
    pytest.param(MLP, plain.mlp, (1, 28, 28), id="mlp"),
]


def trial(model: type[nn.Module], seed: int) -> nn.Module:
    """A model in float64 at its initial weights, but with biases that would be noticed where they are missing."""
    built = model().double()
    initialise(built, seed)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in built.parameters():
            if parameter.ndim == 1:
                parameter.normal_(generator=generator)
    return built


def images(shape: tuple[int, ...], examples: int = 3) -> torch.Tensor:
    return torch.randn(examples, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(99))


@pytest.mark.parametrize(
    ("model", "parameters"), [(SimpleCNN, 62_346), (ResNet8, 75_050), (SimpleCNNShallue, 3_274_634), (MLP, 266_610)]
)
def test_number_of_parameters(model: type[nn.Module], parameters: int) -> None:
    assert sum(p.numel() for p in model().parameters()) == parameters


@pytest.mark.parametrize(("model", "network", "shape"), MODELS)
def test_forward_and_gradients_are_those_of_the_plain_network(
    model: type[nn.Module], network: plain.Network, shape: tuple[int, ...]
) -> None:
    built, x = trial(model, 1), images(shape)
    parameters = list(built.parameters())
    logits, expected = built(x), network(parameters, x)
    assert logits.shape == (3, 10)
    torch.testing.assert_close(logits, expected, rtol=0, atol=1e-12)
    found = torch.autograd.grad(logits.square().sum(), parameters)
    wanted = torch.autograd.grad(expected.square().sum(), parameters)
    for gradient, plain_gradient in zip(found, wanted, strict=True):
        scale = plain_gradient.abs().max()
        torch.testing.assert_close(gradient / scale, plain_gradient / scale, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("model", "network", "shape"), MODELS)
def test_a_stack_is_each_model_alone(model: type[nn.Module], network: plain.Network, shape: tuple[int, ...]) -> None:
    alone, x = [trial(model, seed) for seed in range(3)], images(shape)
    stacked, _ = torch.func.stack_module_state(alone)
    logits = StackedModel(model, x).logits(stacked, x)
    assert logits.shape == (3, 3, 10)
    for one, expected in zip(logits, alone, strict=True):
        torch.testing.assert_close(one, expected(x), rtol=0, atol=1e-12)
        torch.testing.assert_close(one, network(list(expected.parameters()), x), rtol=0, atol=1e-12)


def test_channels_and_classes_follow_the_data() -> None:
    assert ResNet8(in_channels=1, classes=3)(torch.zeros(2, 1, 28, 28)).shape == (2, 3)
    assert SimpleCNN(in_channels=3, classes=7)(torch.zeros(2, 3, 28, 28)).shape == (2, 7)


def test_shortcuts_of_resnet8_keep_the_channels_first_as_the_studys_code_has_them() -> None:
    model, x = trial(ResNet8, 0), images((3, 32, 32))
    assert isinstance(model, ResNet8)
    with torch.no_grad():
        for parameter in model.blocks.parameters():  # then a block is its shortcut alone
            parameter.zero_()
        expected = model(x)
        first = torch.relu(model.conv(x)).mean((2, 3))  # 16 channels, which pooling and averaging leave as they are
        torch.testing.assert_close(expected, first @ model.dense.weight[:, :16].T + model.dense.bias)
