"""The data of a study: split, standardised, kept on the device, and served as an endless stream of full batches.

Dimensions: N examples, B examples in a global batch, C channels, H height, W width. Where images (N, C, H, W) are said,
float features (N, C) or (N, C, ...) are meant too: C is then the number of features, or what comes first.
"""

import itertools
from collections.abc import Callable, Iterator
from typing import Annotated, Any, Literal

import pytorch_lightning as pl
import torch
from pydantic import Field
from torch import Tensor

from dps.data.checked import checked
from dps.data.sources import Images
from dps.data.statistics import PIXEL_LEVELS, feature_statistics, pixel_statistics
from dps.data.stream import SPLIT, Stream, permutation
from dps.protocol.kinds import Positive
from dps.protocol.values import require

Standardise = Annotated[Literal["all", "channel"] | None, Field(description="all, channel or null")]
_EXAMPLE = "the shape of an example, as [channels, height, width]"
Shape = Annotated[list[Positive], Field(min_length=1, description=_EXAMPLE)]


class StudyData(pl.LightningDataModule):
    """Training, validation and test set of a study, as standardised tensors on the trainer's device.

    After `setup`: train_images, validation_images, test_images (N, C, H, W) in the trainer's precision and
    train_labels, validation_labels, test_labels int64 (N,). The validation set is a random tenth of the training file,
    a function of `seed` alone; mean and standard deviation are those of the whole training file.

    Args:
        load: reads the images; called with `source`, the data set's own options (root, download).
        batch_size: examples in a global batch, shared evenly by the ranks.
        seed: determines the split and the order of the training examples.
        train_examples: how many are known to be left for training, null if that is not known beforehand.
        image_shape: channels, height and width of the images, or the shape of an example's features, null if it is not
            known beforehand.
        standardise: pixels by one mean and standard deviation ("all"), by those of each channel ("channel"), or not at
            all (null), which leaves them in [0, 1], and features as they are.

    Raises:
        ValueError: in `setup`, batch_size exceeds the training set, or the images cannot be read, or are not those
            that are known.
    """

    train_images: Tensor
    train_labels: Tensor
    validation_images: Tensor
    validation_labels: Tensor
    test_images: Tensor
    test_labels: Tensor

    def __init__(
        self,
        load: Callable[..., Images],
        batch_size: int,
        seed: int,
        standardise: Standardise = "all",
        train_examples: Positive | None = None,
        image_shape: Shape | None = None,
        **source: Any,
    ) -> None:
        super().__init__()
        self.load = load
        self.batch_size = batch_size
        self.seed = seed
        self.standardise = standardise
        self.train_examples = train_examples
        self.image_shape = image_shape
        self.source = source
        self._images: Images | None = None
        self._placement: tuple[torch.device, torch.dtype] | None = None

    @property
    def classes(self) -> int:
        """Return the number of classes, of which some example of the data has the last; known after `setup`."""
        return 1 + max(int(labels.max()) for labels in (self.train_labels, self.validation_labels, self.test_labels))

    @property
    def batch_size_per_rank(self) -> int:
        """Return the examples of each global batch that one rank takes."""
        return self.batch_size // (self.trainer.world_size if self.trainer else 1)

    def prepare_data(self) -> None:
        """Download and decode in one process, before the ranks read."""
        if self._placement is None:
            self._images = checked(self.load(**self.source))

    def setup(self, stage: str) -> None:
        """Read, split, standardise and place the data; a second call for the same device and precision does nothing."""
        device, dtype = torch.device("cpu"), torch.float32
        if self.trainer:
            device = self.trainer.strategy.root_device
            dtype = torch.float64 if self.trainer.precision == "64-true" else torch.float32
        if self._placement == (device, dtype):
            return
        images = self._images or checked(self.load(**self.source))
        self._place(images, device, dtype)
        self._images = None
        self._placement = device, dtype

    def train_dataloader(self) -> "TrainBatches":
        """Return this rank's share of the endless stream of batches."""
        return TrainBatches(self)

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """Leave a batch where it is: the data live on the device."""
        return batch

    def stream(self) -> Stream:
        """Return the order in which the training set is read."""
        return Stream(len(self.train_labels), self.batch_size, self.seed, self.train_labels.device)

    def _place(self, images: Images, device: torch.device, dtype: torch.dtype) -> None:
        examples = len(images.train)
        validation, train = permutation(examples, self.seed, SPLIT).tensor_split([examples // 10])
        fits = self.batch_size <= len(train)
        require(fits, "batch_size", self.batch_size, f"at most {len(train)}, the size of the training set")
        if self.train_examples not in (None, len(train)):
            raise ValueError(
                f"data.train_examples={self.train_examples}: the training file leaves {len(train)}; "
                "set data.root to a complete copy of the data, or data.train_examples=null"
            )
        shape = list(images.train.shape[1:])
        require(self.image_shape in (None, shape), "data.image_shape", self.image_shape, f"{shape}, that of the images")
        levels = PIXEL_LEVELS - 1 if images.train.dtype == torch.uint8 else 1
        statistics = pixel_statistics if levels > 1 else feature_statistics
        mean, std = statistics(images.train, self.standardise == "channel")
        if self.standardise is None:  # only now: a file whose pixels all agree is refused in any case
            mean, std = torch.zeros_like(mean), torch.ones_like(std)

        def standardised(pixels: Tensor) -> Tensor:
            # on the CPU, so that every device gets the same bits
            return pixels.to(dtype, copy=True).div_(levels).sub_(mean.to(dtype)).div_(std.to(dtype)).to(device)

        self.train_images, self.train_labels = standardised(images.train[train]), images.train_labels[train].to(device)
        self.validation_images = standardised(images.train[validation])
        self.validation_labels = images.train_labels[validation].to(device)
        self.test_images, self.test_labels = standardised(images.test), images.test_labels.to(device)


class TrainBatches:
    """The batches of one rank: images (B / ranks, C, H, W) and labels (B / ranks,), without end.

    Reading starts at the trainer's step, so that a resumed run sees the batches it would have seen.
    """

    def __init__(self, data: StudyData) -> None:
        self.data = data

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        data, stream = self.data, self.data.stream()
        first_step = data.trainer.global_step if data.trainer else 0
        rank = data.trainer.global_rank if data.trainer else 0
        share = slice(rank * data.batch_size_per_rank, (rank + 1) * data.batch_size_per_rank)
        for step in itertools.count(first_step):
            rows = stream.indices(step)[share]
            yield data.train_images.index_select(0, rows), data.train_labels.index_select(0, rows)
