"""How many trials go in a slice of the stack, and how many examples in a pass: measured, once for a machine and model.

Too few, and calls cost more than arithmetic; too many, and a pass no longer fits the cache (or the memory). The winner
is kept on disk, and recorded with the study, so that a study's arithmetic stays the same from start to start.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from dps.models import StackedModel
from dps.protocol.values import is_int, require
from dps.stack.sgd import SGD
from dps.stack.stack import Stack
from dps.storage import cache, configurations, files

FILE = Path(".hydra", "stack.yaml")
LARGEST_PASS = {"cpu": 512, "cuda": 65536}  # examples over all trials of a slice
PRODUCTS = {"cpu": (False,), "cuda": (False, True)}  # on a CPU they took 1.7 to 2.8 times as long at every size tried
SECONDS_A_SHAPE = 0.2


@dataclass(frozen=True)
class SliceShape:
    """Trials in a slice, examples of each batch in a pass, and whether convolutions are matrix products."""

    trials_per_slice: int
    examples_per_pass: int
    products: bool = False

    @classmethod
    def kept(cls, values: Mapping[str, Any]) -> "SliceShape":
        """The shape of values that were kept in a file; ValueError where they are none."""
        names = [field.name for field in fields(cls)]
        if unknown := [name for name in values if name not in names]:
            raise ValueError(f"{unknown[0]} is none of {', '.join(names)}")
        for name in ("trials_per_slice", "examples_per_pass"):
            if name not in values:
                raise ValueError(f"{name} is missing")
            require(is_int(values[name]) and values[name] > 0, name, values[name], "a positive integer")
        products = values.get("products", False)
        require(isinstance(products, bool), "products", products, "true or false")
        return cls(**values)


def recorded(folder: Path) -> SliceShape | None:
    """The shape that a study's folder has; None where it has none yet, ValueError where the file is damaged."""
    saved = files.read_yaml(folder / FILE, dict, configurations.REMEDY)
    try:
        return SliceShape.kept(saved) if saved else None
    except ValueError as error:
        raise files.damaged(folder / FILE, str(error), configurations.REMEDY) from error


def slice_shape(build: Callable[[], nn.Module], images: Tensor, batch_size: int, trials: int) -> SliceShape:
    """The fastest shape for `trials` trials on batches of `batch_size` of these images (N, C, H, W), where they are."""
    machine = torch.cuda.get_device_name() if images.is_cuda else f"cpu, {torch.get_num_threads()} threads"
    precision = str(torch.backends.fp32_precision)  # type: ignore[attr-defined]
    about = (repr(build()), precision, str(tuple(images.shape[1:])), str(images.dtype), machine, torch.__version__)
    path = cache.folder() / "slices" / cache.digest(*about, f"{batch_size}, {trials}")
    found = cache.load(path)
    if found is not None:
        with suppress(ValueError):  # whole, but no shape: measured again
            return SliceShape.kept({name: value.item() for name, value in found.items()})
    best = min(_timed(build, images, batch_size, trials), key=lambda timed: timed[0])[1]
    cache.save(path, {name: np.array(value) for name, value in vars(best).items()})
    return best


def candidates(batch_size: int, trials: int, largest_pass: int) -> Iterator[SliceShape]:
    """Shapes worth a try: powers of two of examples and of trials, and all of either, up to the largest pass."""
    sizes = {min(batch_size, largest_pass), *(size for size in (64, 256, 1024, 4096, 16384) if size < batch_size)}
    for examples in sorted(size for size in sizes if size <= largest_pass):
        most = min(trials, max(1, largest_pass // examples))
        powers = [2**k for k in range(most.bit_length())]
        for number in sorted({*powers, most}):
            yield SliceShape(-(-trials // -(-trials // number)), examples)


def _timed(build: Callable[[], nn.Module], images: Tensor, batch_size: int, trials: int) -> Iterator[tuple[float, Any]]:
    """Seconds an example and trial take in each candidate shape, the idle rows of a short last slice counted in.

    All shapes are timed in turn, round after round, so that what else the machine does falls on all alike.
    """
    passes: dict[SliceShape, Callable[[], float]] = {}
    best: dict[SliceShape, float] = {}
    models = {products: StackedModel(build, images, products) for products in PRODUCTS[images.device.type]}
    shapes = dict.fromkeys(candidates(batch_size, trials, LARGEST_PASS[images.device.type]))
    for shape in [replace(one, products=products) for one in shapes for products in models]:
        with suppress(torch.OutOfMemoryError):
            once = _a_pass(models[shape.products], images, shape)
            once()
            passes[shape], best[shape] = once, once()
    if not best:
        raise torch.OutOfMemoryError("out of memory: not a single trial and pass fits")
    start = time.perf_counter()
    while time.perf_counter() - start < SECONDS_A_SHAPE * len(passes):
        for shape, once in passes.items():
            with suppress(torch.OutOfMemoryError):  # beside the stacks of all others
                best[shape] = min(best[shape], once())
    for shape, seconds in best.items():
        rows = -(-trials // shape.trials_per_slice) * shape.trials_per_slice
        yield seconds / (shape.trials_per_slice * shape.examples_per_pass) * rows / trials, shape


def _a_pass(model: StackedModel, images: Tensor, shape: SliceShape) -> Callable[[], float]:
    """A step of one slice on one pass, a function that returns the seconds it took."""
    seeds = dict.fromkeys(range(shape.trials_per_slice), 0)
    stack = Stack(model, seeds, shape.trials_per_slice, shape.examples_per_pass, images.dtype).to(images.device)
    batch = images[torch.arange(shape.examples_per_pass, device=images.device) % len(images)]
    labels = torch.zeros(len(batch), dtype=torch.long, device=images.device)
    rates = [0.0] * shape.trials_per_slice
    optimizer = SGD([list(stack.slices[0].weights)], lr=rates, momentum=rates)  # its memory competes with the pass's

    def once() -> float:
        start = time.perf_counter()
        stack.backward(batch, labels)
        optimizer.step()
        optimizer.zero_grad()
        if images.is_cuda:
            torch.cuda.synchronize()
        return time.perf_counter() - start

    return once
