"""Sources of float features, each read into memory as it is on disk: unsplit, not standardised."""

import torch

from dps.data.sources import Images

BREAST_CANCER_TRAIN_EXAMPLES = 500


def breast_cancer() -> Images:
    """Return scikit-learn's bundled breast cancer data: 500 training and 69 test examples of 30 features, 2 classes."""
    from sklearn.datasets import load_breast_cancer  # a second of import that the other sources need not wait for

    bundled = load_breast_cancer()
    features = torch.as_tensor(bundled.data, dtype=torch.float32)
    labels = torch.as_tensor(bundled.target, dtype=torch.int64)
    n = BREAST_CANCER_TRAIN_EXAMPLES
    return Images(features[:n], labels[:n], features[n:], labels[n:])
