import re
from collections.abc import Callable
from typing import Any

import pytest
from omegaconf import DictConfig, OmegaConf

from dps.engine import check


def config(**changed: Any) -> DictConfig:
    """A study's configuration as far as it is checked; `goal__error=0.1` changes goal.error."""
    cfg = OmegaConf.create(
        {
            "workload": "w",
            "batch_size": 64,
            "sparsity": 0,
            "trial": 0,
            "max_steps": 4000,
            "race": True,
            "seed_data": 0,
            "goal": {"error": 0.04, "interval_steps": 16, "examples_per_block": 64, "early_reject": True},
            "stack": {"trials_per_slice": None, "examples_per_pass": None, "products": None},
            "data": {"train_examples": 1350},
            "model": {"_target_": "dps.models.SimpleCNN"},
            "optimizer": {"lr": 0.01, "momentum": 0.9},
            "lr_schedule": {"decay_steps": 45000, "end_factor": 0.01},
            "trainer": {"devices": 1, "precision": "32-true"},
        }
    )
    for key, value in changed.items():
        OmegaConf.update(cfg, key.replace("__", "."), value)
    return cfg


def refusal(cfg: DictConfig) -> str:
    with pytest.raises(ValueError) as caught:
        check.check(cfg)
    sentence = str(caught.value)
    assert len(sentence.splitlines()) == 1
    return sentence


def test_a_right_study_is_accepted() -> None:
    check.check(config())


def test_every_workload_is_accepted_as_it_is(composed: Callable[..., DictConfig]) -> None:
    check.check(composed())
    check.check(composed("workload=cifar10_resnet8_nesterov_linear", "batch_size=16384", "sparsity=0.9"))


POSITIVE = "a positive integer"


@pytest.mark.parametrize(
    ("option", "value", "shown", "right"),
    [
        *(("batch_size", value, str(value), POSITIVE) for value in (0, -1, 2.5, "abc", True, 64.0, [16, 64])),
        ("batch_size", None, "null", POSITIVE),
        ("batch_size", 1351, "1351", "at most 1350"),
        *(("sparsity", value, str(value), "in [0, 1)") for value in (-0.1, 1, 1.5, "abc", False)),
        ("sparsity", float("nan"), "nan", "in [0, 1)"),
        *(("goal.error", value, str(value), "in [0, 1)") for value in (1, -0.1, 1.5, "2%")),
        *(("goal.interval_steps", value, str(value), POSITIVE) for value in (0, -16, 1.5)),
        *(("goal.examples_per_block", value, str(value), POSITIVE) for value in (0, "all")),
        *(("max_steps", value, str(value), POSITIVE) for value in (0, -1, 0.5, float("inf"))),
        *(("trainer.devices", value, str(value), POSITIVE) for value in (0, -1, "auto")),
        ("trainer.precision", "16-true", "16-true", "32-true"),
        ("stack.trials_per_slice", 0, "0", POSITIVE),
        ("stack.examples_per_pass", 1.5, "1.5", POSITIVE),
        ("stack.products", "grouped", "grouped", "true or false, or null"),
        ("stack.products", 1, "1", "true or false, or null"),
        ("race", "maybe", "maybe", "true or false"),
        ("race", 1, "1", "true or false"),
        ("goal.early_reject", None, "null", "true or false"),
        *(("seed_data", value, str(value), "from 0 on") for value in (-1, 0.5)),
        *(("optimizer.lr", value, str(value), "a positive number") for value in (0, -1, "fast")),
        *(("optimizer.lr", float(value), value, "a positive number") for value in ("nan", "inf")),
        ("optimizer.lr", None, "null", "a positive number"),
        *(("optimizer.momentum", value, str(value), "in [0, 1)") for value in (1, -0.1, 1.5)),
        ("optimizer.momentum", float("nan"), "nan", "in [0, 1)"),
        ("optimizer.momentum", None, "null", "in [0, 1)"),
        *(("lr_schedule.decay_steps", value, str(value), POSITIVE) for value in (0, -1, 1.5)),
        ("lr_schedule.decay_steps", None, "null", POSITIVE),
        *(("lr_schedule.end_factor", value, str(value), "in [0, 1]") for value in (-0.1, 1.1)),
        ("lr_schedule.end_factor", None, "null", "in [0, 1]"),
        *(("trial", value, str(value), "from 0 on") for value in (-1, 0.5, "all", True, [], [0, -1], [3, 1, 3])),
        ("trial", None, "null", "from 0 on"),
    ],
)
def test_a_refusal_names_the_option_the_value_and_what_is_right(
    option: str, value: Any, shown: str, right: str
) -> None:
    sentence = refusal(config(**{option.replace(".", "__"): value}))
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
        {"optimizer__lr": 1e-8},
        {"optimizer__lr": 2},
        {"optimizer__momentum": 0},
        {"lr_schedule__decay_steps": 1, "lr_schedule__end_factor": 0},
        {"lr_schedule__end_factor": 1},
        {"trial": 7},
        {"trainer__devices": 4},
    ],
)
def test_the_ends_of_every_range_are_accepted(accepted: dict[str, Any]) -> None:
    check.check(config(**accepted))


def test_the_batch_is_shared_evenly_by_the_devices() -> None:
    sentence = refusal(config(batch_size=10, trainer__devices=4))
    assert "trainer.devices=4" in sentence and "batch_size=10" in sentence


@pytest.mark.parametrize("option", ["max_steps", "goal.error", "optimizer.lr"])
def test_a_value_that_is_still_to_be_given(option: str) -> None:
    sentence = refusal(config(**{option.replace(".", "__"): "???"}))
    assert sentence.startswith(f"{option} ")
    assert f"{option}=VALUE" in sentence


@pytest.mark.parametrize(
    ("data", "train_examples"),
    [("digits", 1350), ("mnist", 54_000), ("fashion_mnist", 54_000), ("cifar10", 45_000), ("cifar10_folder", 45_000)],
)
def test_a_batch_larger_than_the_training_set(
    composed: Callable[..., DictConfig], data: str, train_examples: int
) -> None:
    check.check(composed(f"data={data}", f"batch_size={train_examples}"))
    sentence = refusal(composed(f"data={data}", f"batch_size={train_examples + 1}"))
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
def test_a_sparsity_that_leaves_nothing(
    composed: Callable[..., DictConfig], model: str, one_left: float, none_left: float
) -> None:
    cfg = composed(f"model={model}")
    cfg.sparsity = one_left
    check.check(cfg)
    cfg.sparsity = none_left
    sentence = refusal(cfg)
    assert f"sparsity={none_left} must be" in sentence
    proposed = re.search(r"at most (0\.\d+)", sentence)
    assert proposed, "what would be right is not below 1"
    cfg.sparsity = float(proposed[1])
    check.check(cfg)


# ---- the trials


def test_a_scalar_stands_for_all_trials() -> None:
    cfg = config(trial=[4, 2, 7], optimizer__lr=[0.1, 0.2, 0.3], lr_schedule__decay_steps=[10, 20, 30])
    shared = {"momentum": 0.9, "end_factor": 0.01}
    assert check.trials_of(cfg) == [
        {"trial": 4, "lr": 0.1, "decay_steps": 10, **shared},
        {"trial": 2, "lr": 0.2, "decay_steps": 20, **shared},
        {"trial": 7, "lr": 0.3, "decay_steps": 30, **shared},
    ]


def test_one_trial_as_a_scalar_or_a_list_of_one() -> None:
    expected = [{"trial": 3, "lr": 0.5, "momentum": 0.9, "decay_steps": 45000, "end_factor": 0.01}]
    assert check.trials_of(config(trial=3, optimizer__lr=0.5)) == expected
    assert check.trials_of(config(trial=[3], optimizer__lr=[0.5])) == expected


def test_an_optimizer_and_a_schedule_have_only_their_own_metaparameters(composed: Callable[..., DictConfig]) -> None:
    assert check.trials_of(composed("workload=mnist_simple_cnn_sgd")) == [{"trial": 0, "lr": 0.01}]
    momentum, linear = {"momentum": 0.9}, {"decay_steps": 45000, "end_factor": 0.01}
    assert check.trials_of(composed()) == [{"trial": 0, "lr": 0.01, **momentum}]
    assert check.trials_of(composed("workload=cifar10_resnet8_sgd_linear")) == [{"trial": 0, "lr": 0.01, **linear}]
    both = check.trials_of(composed("workload=cifar10_resnet8_nesterov_linear", "optimizer.lr=0.3"))
    assert both == [{"trial": 0, "lr": 0.3, **momentum, **linear}]


@pytest.mark.parametrize(
    ("option", "values", "trials"),
    [
        ("optimizer.lr", [0.1, 0.2], [0, 1, 2]),
        ("optimizer.momentum", [0.1, 0.2, 0.3], [0, 1]),
        ("lr_schedule.decay_steps", [5], [0, 1]),
        ("optimizer.lr", [0.1, 0.2], 5),
        ("optimizer.lr", [], 5),
    ],
)
def test_lists_of_another_length(option: str, values: list[float], trials: Any) -> None:
    sentence = refusal(config(trial=trials, **{option.replace(".", "__"): values}))
    number = len(trials) if isinstance(trials, list) else 1
    assert f"{option} lists {len(values)} values for {number} trials" in sentence


@pytest.mark.parametrize(
    ("option", "values", "named"),
    [
        ("optimizer.lr", [0.1, 0, 0.2], "optimizer.lr=0 must be a positive number"),
        ("optimizer.momentum", [0.1, 0.2, 1], "optimizer.momentum=1 must be in [0, 1)"),
        ("lr_schedule.decay_steps", [1, 2, 2.5], "lr_schedule.decay_steps=2.5 must be a positive integer"),
        ("lr_schedule.end_factor", [1, 0, -1], "lr_schedule.end_factor=-1 must be in [0, 1]"),
        ("optimizer.lr", [0.1, None, 0.2], "optimizer.lr=null must be a positive number"),
    ],
)
def test_one_wrong_value_in_a_list_is_named(option: str, values: list[float], named: str) -> None:
    assert refusal(config(trial=[0, 1, 2], **{option.replace(".", "__"): values})) == named
