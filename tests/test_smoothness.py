import math

import plain
import pytest
import torch
from networks import SIMPLE_CNN, half
from torch import Tensor

from dps.measures.smoothness import smoothness
from dps.models import Weights
from dps.models.gradients import mean_gradients


def vectors(*rows: list[float]) -> Weights:
    return {"w": torch.tensor(rows, dtype=torch.float64)}


def a_step(start: Weights, masks: Weights | None = None, size: float = 1e-2) -> Weights:
    generator = torch.Generator().manual_seed(11)
    steps = {name: size * torch.randn(w.shape, dtype=torch.float64, generator=generator) for name, w in start.items()}
    return {name: start[name] + (steps[name] if masks is None else steps[name] * masks[name]) for name in start}


def test_on_a_quadratic_it_is_the_curvature_along_the_step() -> None:
    generator = torch.Generator().manual_seed(0)
    roots = torch.randn(3, 7, 7, dtype=torch.float64, generator=generator)
    hessians = roots @ roots.mT
    start = {
        name: torch.randn(3, size, dtype=torch.float64, generator=generator) for name, size in (("a", 5), ("b", 2))
    }
    end = a_step(start)

    def gradients(weights: Weights) -> Weights:
        a, b = (hessians @ torch.cat([weights["a"], weights["b"]], 1)[:, :, None])[:, :, 0].split([5, 2], 1)
        return {"a": a, "b": b}

    found, _ = smoothness(gradients, start, end, {})
    for row in range(3):
        d = torch.cat([end["a"][row] - start["a"][row], end["b"][row] - start["b"][row]])
        expected = torch.linalg.vector_norm(hessians[row] @ d) / torch.linalg.vector_norm(d)
        assert float(found[row]) == pytest.approx(float(expected), rel=1e-10)


@pytest.mark.parametrize("gamma", [0.1, 0.5, 1.0])
def test_the_maximum_is_over_tenths_of_the_step(gamma: float) -> None:
    # a gradient that jumps by 2 at gamma: below it the ratio is 0, from there on 2 / (gamma |d|), which falls
    def gradients(weights: Weights) -> Weights:
        return {"w": 2.0 * (weights["w"] >= 3 * gamma - 1e-9)}

    assert float(smoothness(gradients, vectors([0.0]), vectors([3.0]), {})[0]) == pytest.approx(2 / (3 * gamma))


def test_eleven_gradients_are_taken() -> None:
    seen: list[float] = []

    def gradients(weights: Weights) -> Weights:
        seen.append(float(weights["w"]))
        return weights

    smoothness(gradients, vectors([1.0]), vectors([3.0]), {})
    assert seen == pytest.approx([1 + 2 * tenth / 10 for tenth in range(11)])


def test_trials_that_stay_or_diverge_have_none_and_disturb_no_other() -> None:
    start, end = vectors([1.0], [1.0], [1.0], [1.0]), vectors([1.0], [math.nan], [math.inf], [2.0])
    for found in smoothness(lambda weights: {"w": 5 * weights["w"]}, start, end, {}):
        assert found[:3].isnan().all() and float(found[3]) == pytest.approx(5)
    for steep in smoothness(lambda weights: {"w": weights["w"] / 0}, start, end, {}):
        assert steep.isnan().all()


def plain_smoothness(start: Weights, end: Weights, masks: Weights, row: int, images: Tensor, labels: Tensor) -> float:
    """Equation 7 for one trial, gamma by gamma, on the plain network in float64."""

    def gradient(gamma: float) -> Tensor:
        there = {name: start[name] * (1 - gamma) + end[name] * gamma for name in start}
        parts = plain.gradients(plain.simple_cnn, there, row, images, labels)
        return torch.cat([(part * mask[row]).flatten() for part, mask in zip(parts, masks.values(), strict=True)])

    length = torch.cat([(end[name][row] - start[name][row]).flatten() for name in start]).norm()
    ratios = [(gradient(tenth / 10) - gradient(0)).norm() / (tenth / 10 * length) for tenth in range(1, 11)]
    return max(float(ratio) for ratio in ratios)


@pytest.mark.parametrize("pruned", [pytest.param(False, marks=pytest.mark.slow), True], ids=["dense", "pruned"])
def test_simple_cnn_in_float64_and_in_float32(pruned: bool) -> None:
    start = SIMPLE_CNN.weights([0, 1])
    masks = half(start) if pruned else {name: torch.ones_like(values) for name, values in start.items()}
    start = {name: values * masks[name] for name, values in start.items()}
    end = a_step(start, masks, 1e-3)
    images, labels = SIMPLE_CNN.examples(30)
    everything = {name: torch.ones_like(values) for name, values in start.items()}
    expected = [
        plain_smoothness(start, end, some, row, images, labels) for some in (masks, everything) for row in range(2)
    ]
    assert not pruned or all(some < every for some, every in zip(expected[:2], expected[2:], strict=True))

    def measured(dtype: torch.dtype) -> list[float]:
        model = SIMPLE_CNN.stacked(dtype)

        def gradients(weights: Weights) -> Weights:
            return mean_gradients(model, weights, images.to(dtype), labels)

        here, there = ({name: values.to(dtype) for name, values in weights.items()} for weights in (start, end))
        return torch.cat(smoothness(gradients, here, there, masks if pruned else {})).tolist()

    assert measured(torch.float64) == pytest.approx(expected, rel=1e-9)
    assert measured(torch.float32) == pytest.approx(expected, rel=1e-3)
