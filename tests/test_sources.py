import hashlib
import os
import pickle
import struct
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
import pytest
import torch
import torchvision.datasets
from PIL import Image
from sklearn.datasets import load_digits

from dps.data import sources


def idx(array: np.ndarray[Any, Any]) -> bytes:
    """Return an array of bytes in the IDX format: 0, 0, type 8, number of dimensions, dimensions, content."""
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


@pytest.fixture
def idx_root(tmp_path: Path) -> Path:
    """A folder with a small, sound MNIST: 20 training and 10 test images."""
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    generator = np.random.default_rng(0)
    for prefix, examples in (("train", 20), ("t10k", 10)):
        pixels = generator.integers(0, 256, (examples, 28, 28), dtype=np.uint8)
        (raw / f"{prefix}-images-idx3-ubyte").write_bytes(idx(pixels))
        (raw / f"{prefix}-labels-idx1-ubyte").write_bytes(idx(np.arange(examples, dtype=np.uint8) % 10))
    return tmp_path


def write_images(folder: Path, size: int = 4) -> None:
    """Write two classes of three plain training images and one plain test image each; the colours tell them apart."""
    for label, name in enumerate(("cat", "dog")):
        for part, examples in (("train", 3), ("test", 1)):
            (folder / part / name).mkdir(parents=True)
            for i in range(examples):
                Image.new("RGB", (size, size), (100 * label, 10 * i, 7)).save(folder / part / name / f"{i}.png")


def test_digits_are_the_bundled_images_in_their_order() -> None:
    images = sources.digits()
    assert images.train.shape == (1500, 1, 28, 28)
    assert images.test.shape == (297, 1, 28, 28)
    assert images.train.dtype == torch.uint8
    assert images.train_labels.dtype == torch.int64
    labels = torch.cat([images.train_labels, images.test_labels])
    np.testing.assert_array_equal(labels, load_digits().target)
    assert images.train.max() == 255
    assert images.train.min() == 0
    # pixel j of 28 lies at (j + 0.5) * 8 / 28 - 0.5 of the 8 original ones; beyond the border the outermost one counts
    centres = (np.arange(28) + 0.5) * 8 / 28 - 0.5
    rows = np.stack([np.interp(centres, np.arange(8), row) for row in load_digits().images[3]])
    expected = np.stack([np.interp(centres, np.arange(8), column) for column in rows.T]).T * 255 / 16
    assert np.abs(images.train[3, 0].numpy() - expected).max() <= 0.501


def test_idx_files_are_read_as_they_are(idx_root: Path) -> None:
    images = sources.mnist(str(idx_root))
    raw = (idx_root / "MNIST" / "raw" / "train-images-idx3-ubyte").read_bytes()[16:]
    assert images.train.shape == (20, 1, 28, 28)
    assert images.test.shape == (10, 1, 28, 28)
    assert images.train.numpy().tobytes() == raw
    assert images.train_labels.tolist() == [i % 10 for i in range(20)]


def test_root_is_relative_to_the_current_folder(idx_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(idx_root.parent)
    assert len(sources.mnist(idx_root.name).train) == 20


@pytest.mark.parametrize(
    ("load", "folder"),
    [
        (sources.mnist, "MNIST/raw"),
        (sources.fashion_mnist, "FashionMNIST/raw"),
        (sources.cifar10, "cifar-10-batches-py"),
    ],
)
def test_missing_data_names_the_folder_and_the_ways_out(tmp_path: Path, load: Any, folder: str) -> None:
    with pytest.raises(ValueError, match=r"data\.root") as raised:
        load(str(tmp_path), download=False)
    message = str(raised.value)
    assert str(tmp_path / folder) in message
    assert "data.download=true" in message
    assert "data.root to the folder" in message
    assert "\n" not in message
    assert ". " not in message


def test_download_without_a_network_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*args: Any, **kwargs: Any) -> None:
        raise URLError("no route to host")

    monkeypatch.setattr("torchvision.datasets.mnist.download_and_extract_archive", unreachable)
    monkeypatch.setattr("torchvision.datasets.cifar.download_and_extract_archive", unreachable)
    for load in (sources.mnist, sources.cifar10):
        with pytest.raises(ValueError, match=r"^data\.download=true: .*check the network.*data\.root") as raised:
            load(str(tmp_path), download=True)
        assert "\n" not in str(raised.value)


IMAGES, LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"
PIXELS = np.zeros((20, 28, 28), dtype=np.uint8)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        pytest.param(IMAGES, b"", id="empty"),
        pytest.param(IMAGES, idx(PIXELS)[:10], id="cut in the header"),
        pytest.param(IMAGES, idx(PIXELS)[:16], id="header alone"),
        pytest.param(IMAGES, idx(PIXELS)[:-1], id="one byte short"),
        pytest.param(LABELS, idx(np.zeros(20, np.uint8))[:-1], id="labels one byte short"),
        pytest.param(IMAGES, b"\x1f\x8b\x08\x08" + bytes(100), id="still compressed"),
        pytest.param(IMAGES, b"<!DOCTYPE html><html>not found</html>", id="a web page"),
        pytest.param(IMAGES, idx(np.zeros(20, np.uint8)), id="labels for images"),
        pytest.param(LABELS, idx(PIXELS), id="images for labels"),
        pytest.param(IMAGES, idx(PIXELS[:19]), id="fewer images than labels"),
        pytest.param(IMAGES, idx(np.zeros((20, 32, 32), np.uint8)), id="another image size"),
        pytest.param(IMAGES, idx(PIXELS[:0]), id="no images"),
        pytest.param(LABELS, idx(np.full(20, 10, np.uint8)), id="an eleventh class"),
    ],
)
def test_a_damaged_or_foreign_file_is_one_sentence(idx_root: Path, name: str, content: bytes) -> None:
    (idx_root / "MNIST" / "raw" / name).write_bytes(content)
    with pytest.raises(ValueError, match=r"^data\.root=") as raised:
        sources.mnist(str(idx_root))
    message = str(raised.value)
    assert str(idx_root / "MNIST" / "raw") in message
    assert "\n" not in message
    assert "expected" in message or f"{name} is truncated or not a file of MNIST" in message


@pytest.fixture
def cifar_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a small CIFAR-10: two training batches and a test batch of four images each."""
    source = torchvision.datasets.CIFAR10
    folder = tmp_path / source.base_folder
    folder.mkdir()

    def write(name: str, content: dict[str, Any]) -> list[str]:
        data = pickle.dumps(content)
        (folder / name).write_bytes(data)
        return [name, hashlib.md5(data).hexdigest()]

    def batch(first: int) -> dict[str, Any]:
        return {
            "data": np.arange(first, first + 4 * 3072).reshape(4, 3072).astype(np.uint8),
            "labels": [0, 1, 2, first],
        }

    monkeypatch.setattr(source, "train_list", [write("data_batch_1", batch(3)), write("data_batch_2", batch(4))])
    monkeypatch.setattr(source, "test_list", [write("test_batch", batch(5))])
    name, md5 = write("batches.meta", {"label_names": list("abcdefghij")})
    monkeypatch.setattr(source, "meta", {"filename": name, "key": "label_names", "md5": md5})
    return tmp_path


def test_cifar10_planes_and_labels(cifar_root: Path) -> None:
    images = sources.cifar10(str(cifar_root))
    assert images.train.shape == (8, 3, 32, 32)
    assert images.test.shape == (4, 3, 32, 32)
    expected = np.arange(4, 4 + 4 * 3072).astype(np.uint8)  # the file's order: image, colour plane, row, column
    np.testing.assert_array_equal(images.train[4:].flatten(), expected)
    assert images.train_labels.tolist() == [0, 1, 2, 3, 0, 1, 2, 4]
    assert images.train.is_contiguous()


def test_a_damaged_cifar10_batch_is_one_sentence(cifar_root: Path) -> None:
    (cifar_root / "cifar-10-batches-py" / "data_batch_2").write_bytes(b"something else")
    with pytest.raises(ValueError, match=r"^data\.root=.*/data_batch_2 is truncated.*data\.download=true"):
        sources.cifar10(str(cifar_root))


def test_image_folder_is_decoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DPS_CACHE", str(tmp_path / "cache"))
    write_images(tmp_path / "pets")
    first = sources.image_folder(str(tmp_path), "pets")
    assert first.train.shape == (6, 3, 4, 4)
    assert first.test.shape == (2, 3, 4, 4)
    assert first.train_labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert first.test_labels.tolist() == [0, 1]
    assert first.train[:, :, 2, 3].tolist() == [[100 * k, 10 * i, 7] for k in range(2) for i in range(3)]

    decoded: list[str] = []
    decode = torchvision.datasets.folder.pil_loader

    def counted(path: str) -> Any:
        decoded.append(path)
        return decode(path)

    monkeypatch.setattr("torchvision.datasets.folder.pil_loader", counted)
    second = sources.image_folder(str(tmp_path), "pets")
    assert not decoded
    for name in ("train", "train_labels", "test", "test_labels"):
        assert torch.equal(getattr(first, name), getattr(second, name))

    Image.new("RGB", (4, 4), (1, 2, 3)).save(tmp_path / "pets" / "train" / "cat" / "0.png")
    assert sources.image_folder(str(tmp_path), "pets").train[0, :, 0, 0].tolist() == [1, 2, 3]
    assert decoded


def test_two_image_folders_of_the_same_names_sizes_and_times_are_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DPS_CACHE", str(tmp_path / "cache"))
    for shade, name in ((10, "some"), (20, "others")):
        for image in (tmp_path / name / part / "cat" / "0.bmp" for part in ("train", "test")):
            image.parent.mkdir(parents=True)
            Image.new("RGB", (4, 4), (shade, shade, shade)).save(image)
            os.utime(image, (0, 0))
    found = [sources.image_folder(str(tmp_path), name).train.unique().tolist() for name in ("some", "others")]
    assert found == [[10], [20]]


def test_image_folder_survives_a_damaged_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DPS_CACHE", str(tmp_path / "cache"))
    write_images(tmp_path / "pets")
    first = sources.image_folder(str(tmp_path), "pets")
    (entry,) = (tmp_path / "cache").iterdir()
    entry.write_bytes(entry.read_bytes()[:-5])
    assert torch.equal(sources.image_folder(str(tmp_path), "pets").train, first.train)


def test_image_folder_errors_are_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DPS_CACHE", str(tmp_path / "cache"))
    with pytest.raises(ValueError, match=r"no folder .*/pets/train: set data\.root"):
        sources.image_folder(str(tmp_path), "pets")
    (tmp_path / "pets" / "train").mkdir(parents=True)
    (tmp_path / "pets" / "test").mkdir()
    with pytest.raises(ValueError, match=r"must hold one sub-folder of images per class"):
        sources.image_folder(str(tmp_path), "pets")

    write_images(tmp_path / "more")
    (tmp_path / "more" / "test" / "dog").rename(tmp_path / "more" / "test" / "fox")
    with pytest.raises(ValueError, match=r"\['cat', 'dog'\].*\['cat', 'fox'\]"):
        sources.image_folder(str(tmp_path), "more")
    (tmp_path / "more" / "test" / "fox").rename(tmp_path / "more" / "test" / "dog")
    odd = tmp_path / "more" / "train" / "dog" / "1.png"
    Image.new("RGB", (5, 4)).save(odd)
    with pytest.raises(ValueError, match=r"dog/1\.png has the shape \(4, 5, 3\) where \(4, 4, 3\) is expected"):
        sources.image_folder(str(tmp_path), "more")
    Image.new("RGB", (4, 4)).save(odd)
    whole = odd.read_bytes()
    for damaged in (whole[:20], whole.replace(b"IDAT", b"\x01DAT")):
        odd.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"dog/1\.png is not an image that can be read"):
            sources.image_folder(str(tmp_path), "more")


@pytest.mark.parametrize(("load", "name"), [(sources.mnist, "MNIST"), (sources.fashion_mnist, "FashionMNIST")])
def test_the_real_files(data_sets: Path, load: Any, name: str) -> None:
    if not (data_sets / name).is_dir():
        pytest.skip(f"no {name} in {data_sets}: set DPS_DATA")
    images = load(str(data_sets))
    assert images.train.shape == (60000, 1, 28, 28)
    assert images.test.shape == (10000, 1, 28, 28)
    assert torch.bincount(images.test_labels, minlength=10).sum() == 10000
    raw = np.fromfile(data_sets / name / "raw" / "t10k-images-idx3-ubyte", dtype=np.uint8)
    np.testing.assert_array_equal(images.test.numpy().ravel(), raw[16:])
