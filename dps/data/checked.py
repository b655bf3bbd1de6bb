"""What a source of data has returned, held against what Images promise before a study is made of it."""

import torch
from torch import Tensor

from dps.data.sources import Images

LEAST_EXAMPLES = 10  # in the training file, a tenth of which is the validation set
IMAGE_AXES = 4  # examples, channels, height and width


def checked(read: object) -> Images:
    """What was read, with labels of int64; ValueError where it is no Images, or its parts do not fit together."""
    if not isinstance(read, Images):
        raise ValueError(
            f"data: the source returned a {type(read).__name__}, where dps.data.sources.Images is expected"
        )
    train, train_labels = _file("training", read.train, read.train_labels)
    test, test_labels = _file("test", read.test, read.test_labels)
    if len(train) < LEAST_EXAMPLES:
        raise ValueError(f"data: the training file needs {LEAST_EXAMPLES} examples or more, and has {len(train)}")
    if train.shape[1:] != test.shape[1:] or (train.dtype == torch.uint8) != (test.dtype == torch.uint8):
        kinds = " and ".join(f"{values.dtype} of the shape {list(values.shape[1:])}" for values in (train, test))
        raise ValueError(f"data: an example is {kinds} in the training and the test file, where both have to be alike")
    return Images(train, train_labels, test, test_labels)


def _file(name: str, values: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    for what, part in {"examples": values, "labels": labels}.items():
        if not isinstance(part, Tensor):
            raise ValueError(f"data: the {name} file has {what} in a {type(part).__name__}, where a tensor is expected")
    if labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool or labels.ndim != 1:
        found = f"{labels.dtype} of the shape {list(labels.shape)}"
        raise ValueError(f"data: the {name} file has labels {found}, where int64, one for each example, is expected")
    if not 0 < len(values) == len(labels):
        raise ValueError(f"data: the {name} file has {len(values)} examples and {len(labels)} labels")
    if int(labels.min()) < 0:
        raise ValueError(f"data: the {name} file has a label of {int(labels.min())}: classes are counted from 0")
    return _values(name, values.detach()), labels.long()


def _values(name: str, values: Tensor) -> Tensor:
    if values.dtype != torch.uint8 and not values.is_floating_point():
        raise ValueError(f"data: the {name} file holds {values.dtype}, where uint8 or floating-point is expected")
    axes, shape = len(values.shape), list(values.shape)
    if values.dtype == torch.uint8 and axes != IMAGE_AXES:
        raise ValueError(
            f"data: the {name} file holds uint8 of the shape {shape}, and images are (N, C, H, W): make "
            "features of them by .float()"
        )
    if axes < 2:
        raise ValueError(f"data: the {name} file holds one number an example, {shape}, where (N, D) is expected")
    if values.is_floating_point() and not bool(values.isfinite().all()):
        raise ValueError(f"data: the {name} file holds values that are not finite: fill them in, or leave them out")
    return values
