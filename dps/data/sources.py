"""The sources of images, each read into memory as it is on disk: uint8, unsplit, not standardised.

Dimensions: N examples, C channels, H height, W width.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torchvision.datasets as torchvision_datasets
from rich.console import Console
from rich.progress import track
from torch import Tensor
from torchvision.datasets.mnist import read_image_file, read_label_file
from torchvision.datasets.utils import check_integrity

from dps.storage import cache

DIGITS_TRAIN_EXAMPLES = 1500
_CLASSES = 10
IsWhole = Callable[[str], bool]


@dataclass(frozen=True)
class Images:
    """A training file and a test file: images uint8 (N, C, H, W), or features of any floating-point type (N, ...).

    Labels are int64 (N,).
    """

    train: Tensor
    train_labels: Tensor
    test: Tensor
    test_labels: Tensor


def digits() -> Images:
    """Return scikit-learn's bundled 8x8 digits scaled to 28x28: 1,500 training and 297 test images, no download."""
    from sklearn.datasets import load_digits  # a second of import that the other sources need not wait for

    bundled = load_digits()
    small = torch.as_tensor(bundled.images, dtype=torch.float32).unsqueeze(1) * (255 / 16)
    large = torch.nn.functional.interpolate(small, size=28, mode="bilinear").round().to(torch.uint8)
    labels = torch.as_tensor(bundled.target, dtype=torch.int64)
    n = DIGITS_TRAIN_EXAMPLES
    return Images(large[:n], labels[:n], large[n:], labels[n:])


def mnist(root: str, download: bool = False) -> Images:
    """Return MNIST from <root>/MNIST/raw: 60,000 and 10,000 images (N, 1, 28, 28).

    Raises:
        ValueError: files are missing and `download` is false, cannot be fetched, or are damaged or foreign.
    """
    return _idx_images(torchvision_datasets.MNIST, root, download)


def fashion_mnist(root: str, download: bool = False) -> Images:
    """Return Fashion-MNIST from <root>/FashionMNIST/raw: 60,000 and 10,000 images (N, 1, 28, 28).

    Raises:
        ValueError: files are missing and `download` is false, cannot be fetched, or are damaged or foreign.
    """
    return _idx_images(torchvision_datasets.FashionMNIST, root, download)


def cifar10(root: str, download: bool = False) -> Images:
    """Return CIFAR-10 from <root>/cifar-10-batches-py: 50,000 and 10,000 images (N, 3, 32, 32).

    Raises:
        ValueError: files are missing and `download` is false, cannot be fetched, or are damaged or foreign.
    """
    source = torchvision_datasets.CIFAR10
    sums = dict(source.train_list + source.test_list) | {source.meta["filename"]: source.meta["md5"]}
    whole = {name: partial(check_integrity, md5=md5) for name, md5 in sums.items()}
    parts: list[Tensor] = []
    for part in _open(source, root, download, source.base_folder, whole):
        parts += torch.from_numpy(part.data).permute(0, 3, 1, 2).contiguous(), torch.tensor(part.targets)
    return Images(*parts)


def image_folder(root: str, folder: str) -> Images:
    """Return the images of <root>/<folder>/train and /test, one sub-folder per class, as RGB (N, 3, H, W).

    Decoded once: the tensors are kept in the cache until the folder, or a file's name, size or time of change, differs.

    Raises:
        ValueError: a folder is missing, the classes are missing or differ, or an image is damaged or differs in size.
    """
    base = _absolute(root) / folder
    listing = [f"{name}:{size}:{changed}" for name, size, changed in sorted(_files(base, root, folder))]
    path = cache.folder() / f"image_folder-{cache.digest(str(base), *listing)}.npz"
    arrays = cache.load(path)
    if arrays is None:
        arrays = _decode(base, root)
        cache.save(path, arrays)
    return Images(**{name: torch.from_numpy(array) for name, array in arrays.items()})


def _absolute(root: str) -> Path:
    return Path(os.path.abspath(os.path.expanduser(root)))


def _idx_images(source: type[torchvision_datasets.MNIST], root: str, download: bool) -> Images:
    """Read the four IDX files of MNIST or a data set in its format, and check what torchvision does not."""
    whole = {Path(name).stem: _is_idx for name, _ in source.resources}
    searched = f"{source.__name__}/raw"
    parts: list[Tensor] = []
    for part, prefix in zip(_open(source, root, download, searched, whole), ("train", "t10k"), strict=True):
        images, labels = part.data, part.targets
        pair = f"{prefix}-images-idx3-ubyte and {prefix}-labels-idx1-ubyte"
        where = f"data.root={root}: {pair} in {_absolute(root) / searched}"
        if tuple(images.shape[1:]) != (28, 28) or len(images) == 0:
            raise ValueError(f"{where} hold images of shape {tuple(images.shape)} where (N, 28, 28) is expected")
        if len(images) != len(labels) or int(labels.max()) >= _CLASSES:
            raise ValueError(
                f"{where} do not belong together: {len(images)} images and {len(labels)} labels, "
                f"where as many labels as images, each from 0 to {_CLASSES - 1}, are expected"
            )
        parts += images.unsqueeze(1), labels
    return Images(*parts)


def _is_idx(path: str) -> bool:
    """Whether a file of images or of labels can be read."""
    try:
        (read_image_file if "-images-" in path else read_label_file)(path)
    except Exception:  # whatever follows from the byte that is wrong
        return False
    return True


def _open(source: Any, root: str, download: bool, searched: str, whole: Mapping[str, IsWhole]) -> tuple[Any, Any]:
    """Return torchvision's training and test set, with the reason in the user's words where that fails.

    `whole` tells for each file, by name, whether it is as it should be.
    """
    folder = _absolute(root) / searched
    title = source.__name__
    missing = [name for name in whole if not (folder / name).is_file()]
    if missing and not download:
        raise ValueError(
            f"data.root={root}: {title} was looked for in {folder} and {missing[0]} is not there: "
            f"set data.download=true to fetch it, or data.root to the folder that holds {searched}"
        )
    if missing:
        try:
            source(_absolute(root), download=True)
        except Exception as error:  # torchvision raises whatever the network, the disk or the archive raised
            raise ValueError(
                f"data.download=true: {title} could not be fetched into {folder} ({_first_line(error)}): check "
                f"the network and that the folder can be written, or set data.root to a folder that holds {searched}"
            ) from error
    try:
        return source(_absolute(root), train=True), source(_absolute(root), train=False)
    except Exception as error:  # from AssertionError to UnpicklingError, depending on the byte that is wrong
        damaged = next((folder / name for name, is_whole in whole.items() if not is_whole(str(folder / name))), folder)
        raise ValueError(
            f"data.root={root}: {damaged} is truncated or not a file of {title} ({_first_line(error)}): "
            "delete it and set data.download=true, or set data.root to a good copy"
        ) from error


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(":")


def _files(base: Path, root: str, folder: str) -> Iterator[tuple[str, int, int]]:
    """Yield the relative name, size in bytes and time of change in nanoseconds of every file in train/ and test/."""
    for part in ("train", "test"):
        if not (base / part).is_dir():
            raise ValueError(
                f"data.root={root}: there is no folder {base / part}: set data.root to the folder that holds "
                f"{folder}/train and {folder}/test, each with one sub-folder per class"
            )
        waiting = [str(base / part)]
        while waiting:
            for entry in os.scandir(waiting.pop()):
                if entry.is_dir():
                    waiting.append(entry.path)
                else:
                    stat = entry.stat()
                    yield os.path.relpath(entry.path, base), stat.st_size, stat.st_mtime_ns


def _decode(base: Path, root: str) -> dict[str, np.ndarray[Any, Any]]:
    try:
        train, test = (torchvision_datasets.ImageFolder(str(base / part)) for part in ("train", "test"))
    except FileNotFoundError as error:
        reason = _first_line(error).split(". ")[0]
        raise ValueError(
            f"data.root={root}: {base}/train and {base}/test must hold one sub-folder of images per class ({reason})"
        ) from error
    if train.classes != test.classes:
        raise ValueError(
            f"data.root={root}: {base}/train has the classes {train.classes} and {base}/test has {test.classes}, "
            "where the same are expected"
        )
    shape = _image(train, 0).shape
    return {
        "train": _pixels(train, shape, f"Decoding {base.name}/train"),
        "train_labels": np.asarray(train.targets, dtype=np.int64),
        "test": _pixels(test, shape, f"Decoding {base.name}/test"),
        "test_labels": np.asarray(test.targets, dtype=np.int64),
    }


def _pixels(part: torchvision_datasets.ImageFolder, shape: tuple[int, ...], title: str) -> np.ndarray[Any, Any]:
    """Return every image as uint8 (N, C, H, W), given the shape (H, W, C) that each must have."""
    pixels = np.empty((len(part), shape[2], shape[0], shape[1]), dtype=np.uint8)
    for i in track(range(len(part)), description=title, console=Console(stderr=True)):
        image = _image(part, i)
        if image.shape != shape:
            raise ValueError(
                f"data.root: {part.samples[i][0]} has the shape {image.shape} "
                f"where {shape} is expected, as in the first image"
            )
        pixels[i] = image.transpose(2, 0, 1)
    return pixels


def _image(part: torchvision_datasets.ImageFolder, i: int) -> np.ndarray[Any, Any]:
    try:
        return np.asarray(part[i][0])
    except Exception as error:  # whatever follows from the byte that is wrong
        raise ValueError(
            f"data.root: {part.samples[i][0]} is not an image that can be read: delete or replace it"
        ) from error
