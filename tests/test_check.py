"""What a user can get wrong in a study's configuration."""

import re
from typing import Any

import pytest
from configuration import Composed, config, refusal

from dps.engine import check
from dps.protocol.values import shown

POSITIVE = "a positive integer"


def test_a_right_study_is_accepted() -> None:
    check.check(config())


def test_every_workload_is_accepted_as_it_is(composed: Composed) -> None:
    check.check(composed())
    check.check(composed("workload=cifar10_resnet8_nesterov_linear", "batch_size=16384", "sparsity=0.9"))


@pytest.mark.parametrize(
    ("option", "value", "shown", "right"),
    [
        *(("batch_size", value, shown(value), POSITIVE) for value in (0, -1, 2.5, "abc", True, 64.0, [16, 64])),
        ("batch_size", None, "null", POSITIVE),
        ("batch_size", 1351, "1351", "at most 1350"),
        *(("sparsity", value, shown(value), "in [0, 1)") for value in (-0.1, 1, 1.5, "abc", False)),
        ("sparsity", float("nan"), "nan", "in [0, 1)"),
        *(("goal.error", value, shown(value), "in [0, 1)") for value in (1, -0.1, 1.5, "2%")),
        *(("goal.interval_steps", value, shown(value), POSITIVE) for value in (0, -16, 1.5)),
        *(("goal.examples_per_block", value, shown(value), POSITIVE) for value in (0, "all")),
        *(("max_steps", value, shown(value), POSITIVE) for value in (0, -1, 0.5, float("inf"))),
        *(("trainer.devices", value, shown(value), POSITIVE) for value in (0, -1, "auto")),
        ("trainer.precision", "16-true", "16-true", "32-true"),
        ("stack.trials_per_slice", 0, "0", POSITIVE),
        ("stack.examples_per_pass", 1.5, "1.5", POSITIVE),
        ("stack.products", "grouped", "grouped", "true or false, or null"),
        ("stack.products", 1, "1", "true or false, or null"),
        *(("race", value, shown(value), "true, false or a positive integer") for value in ("maybe", 0, -1, 1.5)),
        ("goal.early_reject", None, "null", "true or false"),
        *(("replicate", value, shown(value), "from 0 to 1999999") for value in (-1, 0.5)),
        *(("seed_data", value, shown(value), "from 0 on") for value in (-1, 0.5)),
    ],
)
def test_a_refusal_names_the_option_the_value_and_what_is_right(
    option: str, value: Any, shown: str, right: str
) -> None:
    sentence = refusal(check.check, config(**{option.replace(".", "__"): value}))
    assert f"{option}={shown} must be" in sentence
    assert right in sentence


@pytest.mark.parametrize(
    "accepted",
    [
        {"batch_size": 1},
        {"batch_size": 1350},
        {"sparsity": 0.99},
        {"goal__error": 0},
        {"goal__error": 0.999},
        {"max_steps": 1, "goal__interval_steps": 1},
        {"stack__trials_per_slice": 1, "stack__examples_per_pass": 1, "stack__products": True},
        {"trainer__devices": 4},
    ],
)
def test_the_ends_of_every_range_are_accepted(accepted: dict[str, Any]) -> None:
    check.check(config(**accepted))


def test_the_batch_is_shared_evenly_by_the_devices() -> None:
    sentence = refusal(check.check, config(batch_size=10, trainer__devices=4))
    assert sentence == "trainer.devices=4 must be a divisor of batch_size=10"


@pytest.mark.parametrize("option", ["max_steps", "goal.error", "optimizer.lr"])
def test_a_value_that_is_still_to_be_given(option: str) -> None:
    sentence = refusal(check.check, config(**{option.replace(".", "__"): "???"}))
    assert sentence.startswith(f"{option} ")
    assert f"{option}=VALUE" in sentence


@pytest.mark.parametrize(
    ("data", "train_examples"),
    [("digits", 1350), ("mnist", 54_000), ("fashion_mnist", 54_000), ("cifar10", 45_000), ("cifar10_folder", 45_000)],
)
def test_a_batch_larger_than_the_training_set(composed: Composed, data: str, train_examples: int) -> None:
    parts = [f"data={data}", "model=resnet8" if data.startswith("cifar") else "model=simple_cnn"]
    check.check(composed(*parts, f"batch_size={train_examples}"))
    sentence = refusal(check.check, composed(*parts, f"batch_size={train_examples + 1}"))
    assert f"batch_size={train_examples + 1}" in sentence
    assert f"at most {train_examples}" in sentence


@pytest.mark.parametrize(
    ("model", "one_left", "none_left"),
    [
        ("simple_cnn", 0.99999, 0.999999),
        ("resnet8", 0.99999, 0.999999),
        ("simple_cnn_shallue", 0.999999, 0.9999999),
    ],
)
def test_a_sparsity_that_leaves_nothing(composed: Composed, model: str, one_left: float, none_left: float) -> None:
    cfg = composed(f"model={model}", "data=cifar10" if model == "resnet8" else "data=digits")
    cfg.sparsity = one_left
    check.check(cfg)
    cfg.sparsity = none_left
    sentence = refusal(check.check, cfg)
    assert f"sparsity={none_left} must be" in sentence
    proposed = re.search(r"at most (0\.\d+)", sentence)
    assert proposed, "what would be right is not below 1"
    cfg.sparsity = float(proposed[1])
    check.check(cfg)
