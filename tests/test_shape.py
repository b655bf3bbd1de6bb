from dataclasses import replace
from typing import Any

import pytest
import torch

from dps.models import SimpleCNN
from dps.stack import shape
from dps.stack.shape import SliceShape, candidates, slice_shape


@pytest.mark.parametrize("largest_pass", [1, 512, 65536])
@pytest.mark.parametrize("trials", [1, 2, 7, 16, 100])
@pytest.mark.parametrize("batch_size", [1, 2, 48, 64, 300, 16384])
def test_candidates_hold_memory_bounded(batch_size: int, trials: int, largest_pass: int) -> None:
    found = list(candidates(batch_size, trials, largest_pass))
    assert found
    for one in found:
        assert 1 <= one.trials_per_slice <= trials
        assert 1 <= one.examples_per_pass <= batch_size
        assert one.trials_per_slice * one.examples_per_pass <= largest_pass
        slices = -(-trials // one.trials_per_slice)
        assert slices * one.trials_per_slice - trials < slices  # no smaller slices would do


def test_candidates_of_a_small_study_include_all_at_once() -> None:
    assert SliceShape(16, 4) in list(candidates(4, 16, 512))
    assert SliceShape(1, 4) in list(candidates(4, 16, 512))


@pytest.mark.parametrize("products", [False, True])
def test_the_measured_shape_is_kept(monkeypatch: pytest.MonkeyPatch, products: bool) -> None:
    monkeypatch.setattr(shape, "SECONDS_A_SHAPE", 0)
    monkeypatch.setitem(shape.PRODUCTS, "cpu", (products,))
    images = torch.zeros(10, 1, 28, 28)
    first = slice_shape(SimpleCNN, images, batch_size=4, trials=3)
    assert replace(first, products=False) in list(candidates(4, 3, 512))
    assert first.products is products

    def again(*_: object) -> None:
        raise AssertionError("measured again")

    monkeypatch.setattr(shape, "_a_pass", again)
    assert slice_shape(SimpleCNN, images, batch_size=4, trials=3) == first
    with pytest.raises(AssertionError, match="measured again"):
        slice_shape(SimpleCNN, images, batch_size=8, trials=3)


def test_shapes_for_which_memory_runs_out_are_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """At once for two trials, later, beside the stacks of the other shapes, for one."""
    images = torch.zeros(10, 1, 28, 28)

    def out_of_memory() -> float:
        raise torch.OutOfMemoryError("out of memory")

    def short_of_memory(model: Any, images: Any, one: SliceShape) -> Any:
        if one.trials_per_slice > 1:
            out_of_memory()
        seconds = iter([1.0, 0.5])
        return lambda: next(seconds, None) or out_of_memory()

    monkeypatch.setattr(shape, "_a_pass", short_of_memory)
    assert slice_shape(SimpleCNN, images, batch_size=2, trials=2).trials_per_slice == 1
    monkeypatch.setattr(shape, "_a_pass", lambda *_: out_of_memory())
    with pytest.raises(torch.OutOfMemoryError, match="not a single trial"):
        slice_shape(SimpleCNN, images, batch_size=2, trials=3)
