"""Which of the paper's figures shows a workload (Lee et al., 2020, arXiv 2003.11316, main text and Appendix D)."""

from collections.abc import Mapping
from typing import Any

# Data set, model, schedule and goal error to the figure that shows all its optimizers.
_SCALING = {
    ("mnist", "simple_cnn", "constant", 0.02): "7",
    ("fashion_mnist", "simple_cnn", "constant", 0.12): "8",
    ("fashion_mnist", "simple_cnn", "constant", 0.14): "9",
    ("cifar10", "resnet8", "linear", 0.4): "10",
    ("cifar10", "resnet8", "constant", 0.4): "11",
}
# That figure and an optimizer to the figure of the trials.
_TRIALS = {
    ("7", "sgd"): "13",
    ("7", "momentum"): "14",
    ("7", "nesterov"): "15",
    ("11", "sgd"): "16",
    ("11", "momentum"): "17",
    ("10", "nesterov"): "18",
}


def scaling_number(key: Mapping[str, Any]) -> str | None:
    """The number, 7 to 11, of the figure of K* against batch size for a subject's key; None where there is none."""
    dataset = "cifar10" if key["dataset"] == "cifar10_folder" else key["dataset"]
    number = _SCALING.get((dataset, key["model"], key["lr_schedule"], key["goal_error"]))
    return number if key["pruning"] == "snip" else None


def trials_number(key: Mapping[str, Any]) -> str:
    """The number, 13 to 18, of the figure of the trials for a subject's key; 3 where it has none."""
    return _TRIALS.get((scaling_number(key) or "", key["optimizer"]), "3")
