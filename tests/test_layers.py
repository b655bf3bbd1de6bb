import plain
import pytest
import torch
import torch.nn.functional as F

from dps.models.layers import Conv2d, Linear, append_channels, same_padding


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("stride", [1, 2, 3, 4])
@pytest.mark.parametrize("kernel", [1, 2, 3, 5, 7])
def test_same_padding_is_tensorflows(kernel: int, stride: int) -> None:
    for size in range(1, 40):
        before, after = same_padding(size, kernel, stride)
        # https://www.tensorflow.org/api_docs/python/tf/nn#notes_on_padding_2
        total = max(kernel - (stride if size % stride == 0 else size % stride), 0)
        assert (before, after) == (total // 2, total - total // 2)
        assert (size + before + after - kernel) // stride + 1 == -(-size // stride)


def test_padding_that_tensorflow_makes_asymmetric() -> None:
    assert same_padding(32, 3, 2) == (0, 1)
    assert same_padding(28, 5, 1) == (2, 2)
    assert same_padding(5, 3, 2) == (1, 1)
    assert same_padding(4, 1, 2) == (0, 0)


@pytest.mark.parametrize(("size", "kernel", "stride"), [(8, 3, 2), (7, 3, 2), (6, 5, 1), (6, 4, 1), (9, 2, 3)])
def test_a_convolution_pads_as_tensorflow_does(size: int, kernel: int, stride: int) -> None:
    layer = Conv2d(2, 3, kernel, stride, same=True).double()
    x = random(4, 2, size, size)
    weight, bias = layer.parameters()
    expected = plain.tensorflow_conv(x, weight, bias, stride)
    torch.testing.assert_close(layer(x), expected, rtol=0, atol=1e-12)


def test_rows_and_columns_are_padded_apart() -> None:
    layer = Conv2d(1, 1, 3, 2, same=True).double()
    x = random(2, 1, 8, 7)
    padded = torch.zeros(2, 1, 9, 9, dtype=torch.float64)
    padded[:, :, :8, 1:8] = x
    torch.testing.assert_close(layer(x), F.conv2d(padded, layer.weight, layer.bias, 2), rtol=0, atol=1e-12)


def test_a_valid_convolution_pads_nothing() -> None:
    assert Conv2d(1, 4, 5)(torch.zeros(2, 1, 28, 28)).shape == (2, 4, 24, 24)


@pytest.mark.parametrize("products", [False, True], ids=["grouped", "products"])
@pytest.mark.parametrize("same", [False, True], ids=["valid", "same"])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("shared", [True, False], ids=["shared images", "images of each trial"])
def test_a_stack_of_convolutions_is_each_of_them(shared: bool, stride: int, same: bool, products: bool) -> None:
    trials, layer = 3, Conv2d(2, 5, 3, stride, same=same).double()
    layer.products = products
    weight, bias = random(trials, 5, 2, 3, 3, seed=1), random(trials, 5, seed=2)
    x = random(4, 2 if shared else trials * 2, 8, 8 if same else 7)
    stacked = torch.func.functional_call(layer, {"weight": weight, "bias": bias}, (x,))
    for t in range(trials):
        own = x if shared else x[:, 2 * t : 2 * t + 2]
        convolve = plain.tensorflow_conv if same else F.conv2d
        expected = convolve(own, weight[t], bias[t], stride)
        torch.testing.assert_close(stacked[:, 5 * t : 5 * t + 5], expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("products", [False, True], ids=["grouped", "products"])
@pytest.mark.parametrize("examples", [1, 4, 5, 9])
@pytest.mark.parametrize("shared", [True, False], ids=["shared images", "images of each trial"])
@pytest.mark.parametrize(("size", "kernel", "stride", "same"), [(8, 3, 2, True), (8, 5, 1, False), (9, 3, 1, True)])
def test_the_gradients_of_a_stack_are_those_of_each(
    size: int, kernel: int, stride: int, same: bool, shared: bool, examples: int, products: bool
) -> None:
    trials, layer = 3, Conv2d(2, 5, kernel, stride, same).double()
    layer.products = products
    weight, bias = random(trials, 5, 2, kernel, kernel, seed=1), random(trials, 5, seed=2)
    leaves = [values.requires_grad_() for values in (random(examples, 2 if shared else 6, size, size), weight, bias)]
    stacked = torch.func.functional_call(layer, {"weight": weight, "bias": bias}, (leaves[0],))
    outer = random(*stacked.shape, seed=3)
    found = torch.autograd.grad((stacked * outer).sum(), leaves)
    one_by_one = [
        plain.tensorflow_conv(x, w, b, stride) if same else F.conv2d(x, w, b, stride)
        for x, w, b in zip([leaves[0]] * 3 if shared else leaves[0].split(2, 1), weight, bias, strict=True)
    ]
    wanted = torch.autograd.grad((torch.cat(one_by_one, 1) * outer).sum(), leaves)
    for gradient, expected in zip(found, wanted, strict=True):
        torch.testing.assert_close(gradient, expected, rtol=0, atol=1e-12)


def test_a_stack_of_dense_layers_reads_images_and_features() -> None:
    trials, layer = 3, Linear(12, 4).double()
    weight, bias = random(trials, 4, 12, seed=1), random(trials, 4, seed=2)
    images = random(5, trials * 3, 2, 2)
    features = torch.stack([images[:, 3 * t : 3 * t + 3].reshape(5, 12) for t in range(trials)])
    expected = torch.stack([features[t] @ weight[t].T + bias[t] for t in range(trials)])
    for x in (images, features):
        stacked = torch.func.functional_call(layer, {"weight": weight, "bias": bias}, (x,))
        torch.testing.assert_close(stacked, expected, rtol=0, atol=1e-12)


def test_channels_of_zeros_come_after_those_of_each_model() -> None:
    x = random(2, 6, 2, 2)
    longer = append_channels(x, 3, stack_of=3)
    assert longer.shape == (2, 15, 2, 2)
    for t in range(3):
        own = longer[:, 5 * t : 5 * t + 5]
        assert torch.equal(own[:, :2], x[:, 2 * t : 2 * t + 2])
        assert not own[:, 2:].any()
