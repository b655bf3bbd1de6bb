"""What a source of data may return, and what is said of the rest."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from dps.data.checked import checked
from dps.data.sources import Images

FEATURES = Images(torch.rand(60, 3), torch.arange(60) % 2, torch.rand(20, 3), torch.arange(20) % 2)
PIXELS = (torch.rand(60, 1, 4, 4) * 255).to(torch.uint8)
IMAGES = replace(FEATURES, train=PIXELS, test=PIXELS[:20])


@pytest.mark.parametrize("read", [FEATURES, IMAGES])
@pytest.mark.parametrize("labels", [torch.uint8, torch.int32, torch.int64])
def test_what_fits_together_is_taken_with_labels_of_int64(read: Images, labels: torch.dtype) -> None:
    given = replace(read, train_labels=read.train_labels.to(labels), test_labels=read.test_labels.to(labels))
    found = checked(given)
    assert found.train_labels.dtype == found.test_labels.dtype == torch.int64
    assert torch.equal(found.train_labels, read.train_labels) and torch.equal(found.test, read.test)


def test_features_lose_the_gradient_that_they_ask_for() -> None:
    asking = torch.rand(60, 3, requires_grad=True)
    assert torch.equal(checked(replace(FEATURES, train=asking)).train, asking.detach())
    assert not checked(replace(FEATURES, train=asking)).train.requires_grad


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"train": FEATURES.train.numpy()}, "the training file has examples in a ndarray, where a tensor is expected"),
        ({"test_labels": [0] * 20}, "the test file has labels in a list, where a tensor is expected"),
        ({"train": FEATURES.train.long()}, r"the training file holds torch\.int64, where uint8 or floating-point"),
        ({"test": FEATURES.test.to(torch.complex64)}, r"the test file holds torch\.complex64, where"),
        ({"train": FEATURES.train > 0.5}, r"the training file holds torch\.bool, where"),
        ({"train": FEATURES.train / 0}, "the training file holds values that are not finite: fill them in"),
        ({"test": FEATURES.test * np.nan}, "the test file holds values that are not finite"),
        ({"train": FEATURES.train[:, 0]}, r"the training file holds one number an example, \[60\], where \(N, D\)"),
        ({"train": PIXELS.flatten(1)}, r"the training file holds uint8 of the shape \[60, 16\], and images are"),
        (
            {"train_labels": FEATURES.train_labels.double()},
            r"has labels torch\.float64 of the shape \[60\], where int64",
        ),
        ({"train_labels": FEATURES.train_labels > 0}, r"has labels torch\.bool of the shape \[60\], where"),
        (
            {"test_labels": FEATURES.test_labels[:, None]},
            r"the test file has labels torch\.int64 of the shape \[20, 1\]",
        ),
        ({"train_labels": FEATURES.train_labels[:50]}, "the training file has 60 examples and 50 labels$"),
        ({"train": FEATURES.train[:50]}, "the training file has 50 examples and 60 labels$"),
        ({"test": FEATURES.test[:0], "test_labels": FEATURES.test_labels[:0]}, "has 0 examples and 0 labels$"),
        (
            {"train_labels": FEATURES.train_labels - 1},
            "the training file has a label of -1: classes are counted from 0",
        ),
        ({"test_labels": FEATURES.test_labels - 3}, "the test file has a label of -3: classes are counted from 0"),
        (
            {"train": FEATURES.train[:9], "train_labels": FEATURES.train_labels[:9]},
            "the training file needs 10 examples or more, and has 9$",
        ),
        (
            {"test": FEATURES.test[:, :2]},
            r"of the shape \[3\] and torch\.float32 of the shape \[2\] in the training and",
        ),
        (
            {"test": PIXELS[:20]},
            r"an example is torch\.float32 of the shape \[3\] and torch\.uint8 of the shape \[1, 4",
        ),
    ],
)
def test_what_does_not_fit_is_named(changed: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=f"^data: .*{sentence}"):
        checked(replace(FEATURES, **changed))


@pytest.mark.parametrize("read", [None, (FEATURES.train, FEATURES.train_labels)])
def test_a_source_returns_images(read: Any) -> None:
    with pytest.raises(ValueError, match=rf"^data: the source returned a {type(read).__name__}, where dps\.data\."):
        checked(read)
