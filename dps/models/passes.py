"""Going through a data set in passes that fit the memory, whatever is computed in them.

Shapes: N examples, C channels, H height, W width.
"""

from collections.abc import Callable, Iterable, Iterator

from torch import Tensor

Progress = Callable[[Iterable[int]], Iterable[int]]  # goes through the numbers of the passes, and may say where it is

EXAMPLES_PER_PASS = {"cpu": 256, "cuda": 4096}  # of one trial: more would leave a CPU's cache, fewer leave a GPU idle


def passes(
    images: Tensor, labels: Tensor, progress: Progress = iter, examples_per_pass: int | None = None
) -> Iterator[tuple[Tensor, Tensor]]:
    """The images (N, C, H, W) and labels (N,), `examples_per_pass` at a time; None: as many as suit the device."""
    size = examples_per_pass or EXAMPLES_PER_PASS[images.device.type]
    for first in progress(range(0, len(labels), size)):
        yield images[first : first + size], labels[first : first + size]
