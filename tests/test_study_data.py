import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from configuration import Composed
from hydra.utils import instantiate
from torch import Tensor

from dps.data.sources import Images
from dps.data.stream import Stream
from dps.data.study_data import Standardise, StudyData

CPU = torch.device("cpu")


def numbered(examples: int = 207, channels: int = 1) -> Images:
    """Return images that differ from each other, whose label is their number in the file."""
    generator = np.random.default_rng(1)
    train = generator.integers(0, 256, (examples, channels, 3, 2), dtype=np.uint8)
    train[:, 0, 0, 0] = np.arange(examples)
    test = generator.integers(0, 256, (30, channels, 3, 2), dtype=np.uint8)
    arrays = train, np.arange(examples), test, np.arange(30)
    return Images(*(torch.from_numpy(array) for array in arrays))


def study_data(batch_size: int = 16, seed: int = 0, **options: Any) -> StudyData:
    return StudyData(numbered, batch_size, seed, **options)


def attached(data: StudyData, **trainer: Any) -> StudyData:
    """Attach what `data` reads of a trainer and set it up."""
    defaults = {"world_size": 1, "global_rank": 0, "global_step": 0, "precision": "32-true"}
    data.trainer = SimpleNamespace(**defaults | trainer, strategy=SimpleNamespace(root_device=CPU))  # type: ignore[assignment]
    data.setup("fit")
    return data


def labels_of(data: StudyData, steps: int) -> Tensor:
    return torch.cat([labels for _, labels in itertools.islice(data.train_dataloader(), steps)])


def test_a_tenth_of_the_training_file_validates() -> None:
    data = attached(study_data())
    assert len(data.validation_labels) == 20
    assert len(data.train_labels) == 187
    assert len(data.test_labels) == 30
    both = torch.cat([data.validation_labels, data.train_labels])
    assert both.sort().values.tolist() == list(range(207))
    assert data.validation_labels.tolist() != sorted(data.validation_labels.tolist())


def test_the_split_depends_on_the_seed_alone() -> None:
    first = attached(study_data(batch_size=16, seed=0))
    again = attached(study_data(batch_size=1, seed=0, standardise=None))
    other = attached(study_data(batch_size=16, seed=1))
    assert torch.equal(first.validation_labels, again.validation_labels)
    assert set(first.validation_labels.tolist()) != set(other.validation_labels.tolist())


@pytest.mark.parametrize(("precision", "tolerance"), [("32-true", 1e-6), ("64-true", 1e-13)])
@pytest.mark.parametrize("standardise", ["all", "channel", None])
def test_pixels_are_standardised_by_the_whole_training_file(
    standardise: Standardise, precision: str, tolerance: float
) -> None:
    images = numbered(channels=3)
    data = attached(StudyData(lambda: images, 16, 0, standardise), precision=precision)
    pixels = images.train.numpy().astype(np.float64) / 255
    axes = (0, 2, 3) if standardise == "channel" else (0, 1, 2, 3)
    mean, std = pixels.mean(axes, keepdims=True), pixels.std(axes, keepdims=True)
    if standardise is None:
        mean, std = np.zeros_like(mean), np.ones_like(std)
    expected = (pixels - mean) / std
    np.testing.assert_allclose(data.train_images, expected[data.train_labels], rtol=0, atol=tolerance)
    np.testing.assert_allclose(data.validation_images, expected[data.validation_labels], rtol=0, atol=tolerance)
    expected_test = (images.test.numpy() / 255 - mean) / std
    np.testing.assert_allclose(data.test_images, expected_test, rtol=0, atol=tolerance)
    assert data.train_images.dtype == (torch.float64 if precision == "64-true" else torch.float32)


def test_setup_reads_once() -> None:
    reads: list[int] = []

    def load() -> Images:
        reads.append(1)
        return numbered()

    data = StudyData(load, 16, 0)
    data.prepare_data()
    data.setup("fit")
    images = data.train_images
    data.prepare_data()
    data.setup("test")
    assert len(reads) == 1
    assert data.train_images is images


def test_the_options_of_the_data_set_reach_its_loader() -> None:
    seen: dict[str, Any] = {}

    def load(root: str, download: bool) -> Images:
        seen.update(root=root, download=download)
        return numbered()

    StudyData(load, 16, 0, root="somewhere", download=False).setup("fit")
    assert seen == {"root": "somewhere", "download": False}


def test_wrong_values_are_refused_in_one_sentence() -> None:
    with pytest.raises(ValueError, match=r"^data\.image_shape=\[1, 2, 3\] must be \[1, 3, 2\], that of the images$"):
        attached(StudyData(numbered, 16, 0, image_shape=[1, 2, 3]))
    with pytest.raises(ValueError, match=r"^batch_size=188 must be at most 187, the size of the training set$"):
        study_data(batch_size=188).setup("fit")
    blank = torch.zeros(20, 1, 2, 2, dtype=torch.uint8)
    with pytest.raises(ValueError, match="every pixel of the training images has the same value"):
        StudyData(lambda: Images(blank, torch.arange(20), blank, torch.arange(20)), 2, 0).setup("fit")


def order(batch_size: int, first_step: int, steps: int, seed: int = 0, examples: int = 23) -> list[int]:
    stream = Stream(examples, batch_size, seed, CPU)
    return [i for step in range(first_step, first_step + steps) for i in stream.indices(step).tolist()]


def test_every_epoch_covers_every_example_once() -> None:
    rows = np.array(order(batch_size=5, first_step=0, steps=23)).reshape(5, 23)
    for epoch in rows:
        assert sorted(epoch) == list(range(23))
    assert len({tuple(epoch) for epoch in rows}) == 5


def test_batches_are_full_and_straddle_epochs() -> None:
    stream = Stream(23, 5, 0, CPU)
    assert all(len(stream.indices(step)) == 5 for step in range(50))
    straddling = stream.indices(4)  # positions 20 to 24: three of the first epoch, two of the second
    assert straddling.tolist() == order(1, 20, 5)


@pytest.mark.parametrize("batch_size", [1, 2, 7, 22, 23])
def test_the_order_does_not_depend_on_the_batch_size(batch_size: int) -> None:
    positions = 23 * batch_size
    assert order(batch_size, 0, 23) == order(1, 0, positions)


@pytest.mark.parametrize("first_step", [1, 4, 5, 17])
def test_the_order_does_not_depend_on_the_first_step(first_step: int) -> None:
    assert order(5, first_step, 10) == order(5, 0, first_step + 10)[5 * first_step :]
    stream = Stream(23, 5, 0, CPU)
    steps = [first_step, 0, 30, first_step, 3]
    assert [stream.indices(step).tolist() for step in steps] == [order(5, step, 1) for step in steps]


def test_the_order_depends_on_the_seed() -> None:
    assert order(5, 0, 4, seed=0) != order(5, 0, 4, seed=1)
    assert order(5, 0, 4, seed=0) == order(5, 0, 4, seed=0)


def test_a_stream_keeps_two_epochs_at_most() -> None:
    stream = Stream(23, 5, 0, CPU)
    for step in range(100):
        stream.indices(step)
        assert len(stream._epochs) <= 2


def test_batches_pair_each_image_with_its_label() -> None:
    data = attached(study_data(batch_size=50))
    file = attached(study_data()).train_images[data.train_labels.argsort()]
    rank_of = {label: i for i, label in enumerate(data.train_labels.sort().values.tolist())}
    for images, labels in itertools.islice(data.train_dataloader(), 5):
        assert torch.equal(images, file[[rank_of[label] for label in labels.tolist()]])


@pytest.mark.parametrize("ranks", [2, 4])
def test_the_ranks_share_the_global_batch(ranks: int) -> None:
    whole = labels_of(attached(study_data()), 30).reshape(30, 16)
    shares = [labels_of(attached(study_data(), world_size=ranks, global_rank=r), 30) for r in range(ranks)]
    assert torch.equal(torch.cat([share.reshape(30, -1) for share in shares], dim=1), whole)


class Recorder(pl.LightningModule):
    """Records the batches it trains on."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.seen: list[tuple[int, list[int]]] = []
        self.moved = False

    def training_step(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        images, labels = batch
        self.moved |= images.device != self.device or images.dtype != self.weight.dtype
        self.seen.append((self.trainer.global_step, labels.tolist()))
        return self.weight * images.mean()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


class Saver(pl.Callback):
    """Saves a checkpoint after every third step, where ModelCheckpoint would."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        if trainer.global_step % 3 == 0:
            trainer.save_checkpoint(self.folder / f"step={trainer.global_step}.ckpt")


def train(folder: Path, max_steps: int, ckpt_path: Path | None = None, **options: Any) -> Recorder:
    recorder = Recorder()
    trainer = pl.Trainer(
        max_steps=max_steps,
        max_epochs=-1,
        limit_val_batches=0,
        accelerator="cpu",
        devices=1,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        callbacks=[Saver(folder)],
        **options,
    )
    trainer.fit(recorder, datamodule=study_data(batch_size=40), ckpt_path=ckpt_path)
    return recorder


def test_a_resumed_run_sees_the_batches_it_would_have_seen(tmp_path: Path) -> None:
    whole = train(tmp_path / "whole", 20)
    assert [step for step, _ in whole.seen] == list(range(20))
    broken = train(tmp_path / "broken", 11)
    resumed = train(tmp_path / "broken", 20, ckpt_path=tmp_path / "broken" / "step=9.ckpt")
    assert broken.seen[:9] + resumed.seen == whole.seen
    twice = train(tmp_path / "broken", 20, ckpt_path=tmp_path / "broken" / "step=15.ckpt")
    assert broken.seen[:9] + resumed.seen[:6] + twice.seen == whole.seen
    assert torch.equal(twice.weight, whole.weight)


def test_the_trainer_gets_full_batches_in_its_precision(tmp_path: Path) -> None:
    recorder = train(tmp_path, 6, precision="64-true")
    assert recorder.weight.dtype == torch.float64
    assert not recorder.moved
    assert all(len(labels) == 40 for _, labels in recorder.seen)


@pytest.fixture
def configured(composed: Composed) -> Callable[..., StudyData]:
    """The data of a choice, as a study makes them."""

    def make(name: str, *overrides: str) -> StudyData:
        cfg = composed(f"data={name}", *overrides)
        loaded = instantiate(cfg.data, batch_size=cfg.batch_size, seed=cfg.seed_data)
        assert isinstance(loaded, StudyData)
        return loaded

    return make


def test_the_digits_need_no_option(configured: Callable[..., StudyData]) -> None:
    data = configured("digits", "batch_size=64")
    data.setup("fit")
    assert data.train_images.shape == (1350, 1, 28, 28)
    assert data.batch_size == 64
    assert len(data.validation_labels) == 150
    assert len(data.test_labels) == 297


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist", "cifar10", "cifar10_folder"])
def test_every_configuration_passes_its_root_on(
    configured: Callable[..., StudyData], name: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=r"data\.root") as raised:
        configured(name, f"data.root={tmp_path}").setup("fit")
    assert str(tmp_path) in str(raised.value)


def test_mnist_as_configured(configured: Callable[..., StudyData], data_sets: Path) -> None:
    if not (data_sets / "MNIST").is_dir():
        pytest.skip(f"no MNIST in {data_sets}: set DPS_DATA")
    data = configured("mnist", f"data.root={data_sets}", "batch_size=54000")
    data.setup("fit")
    assert data.train_images.shape == (54000, 1, 28, 28)
    assert len(data.validation_labels) == 6000
    pixels = torch.cat([data.train_images, data.validation_images]).double()
    assert abs(float(pixels.mean())) < 1e-6
    assert abs(float(pixels.std(correction=0)) - 1) < 1e-6


def tabular() -> Images:
    """Features of very different scales, float64 (N, D)."""
    generator = np.random.default_rng(2)
    scales = np.array([1e-3, 1.0, 1e4])
    train, test = (torch.from_numpy(generator.normal(5, 2, (n, 3)) * scales) for n in (60, 20))
    return Images(train, torch.arange(60) % 2, test, torch.arange(20) % 2)


@pytest.mark.parametrize("standardise", ["all", "channel", None])
def test_features_are_standardised_and_stay_what_they_are(standardise: Standardise) -> None:
    read, before = tabular(), tabular()
    data = attached(StudyData(lambda: read, 6, 0, standardise, image_shape=[3]), precision="64-true")
    axes = 0 if standardise == "channel" else (0, 1)
    features = before.train.numpy()
    mean, std = features.mean(axes, keepdims=True), features.std(axes, keepdims=True)
    if standardise is None:
        mean, std = np.zeros_like(mean), np.ones_like(std)
    found = np.sort(torch.cat([data.validation_images, data.train_images]).numpy(), axis=0)
    np.testing.assert_allclose(found, np.sort((features - mean) / std, axis=0), rtol=1e-12)
    np.testing.assert_allclose(data.test_images, (before.test.numpy() - mean) / std, rtol=1e-12)
    assert torch.equal(read.train, before.train) and torch.equal(read.test, before.test)


def test_features_that_cannot_be_standardised_are_refused() -> None:
    read = tabular()
    constant = read.train.index_fill(1, torch.tensor([2]), 0.1)
    with pytest.raises(ValueError, match=r"feature 2 \(from 0\) has the same value"):
        attached(StudyData(lambda: replace(read, train=constant), 6, 0, "channel"))


@pytest.mark.parametrize("moment", ["prepare_data", "setup"])
def test_what_a_source_must_not_return_is_refused_when_it_is_read(moment: str) -> None:
    data = StudyData(lambda: replace(tabular(), train_labels=torch.zeros(59, dtype=torch.int64)), 6, 0)
    with pytest.raises(ValueError, match=r"^data: the training file has 60 examples and 59 labels$"):
        data.prepare_data() if moment == "prepare_data" else attached(data)
