"""What is said of a model, a data set and a criterion of one's own that are not what they have to be."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from command import SECONDS, dps, study
from torch import Tensor, nn

from dps.data.sources import Images, digits
from dps.models import Weights
from dps.pruning import Unpruned, refusal
from dps.stack.optimizer import StackOptimizer
from dps.storage import records

SMALL = ["batch_size=8", "goal.error=0.3", "goal.interval_steps=4", "max_steps=8"]


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Runs a small study with a group's part from this file."""
    monkeypatch.setenv("DPS_ALLOW", __name__)

    def run(group: str, yaml: str, *arguments: str) -> Any:
        path = tmp_path / "own" / group / "mine.yaml"
        path.parent.mkdir(parents=True)
        path.write_text(yaml)
        chosen = f"{group}=[goal,mine]" if group == "callbacks" else f"{group}=mine"
        return dps(tmp_path, f"--config-dir={tmp_path / 'own'}", *SMALL, chosen, *arguments)

    return run


def strange_label() -> Images:
    """The digits, one of whose test labels is no digit."""
    images = digits()
    return replace(images, test_labels=images.test_labels.index_fill(0, torch.tensor([3]), 77))


def absent() -> Images:
    """A source that fails."""
    raise RuntimeError("my file\nis gone")


FAILS = absent.__code__.co_firstlineno + 2  # the line of this file


def no_module() -> None:
    """A builder that forgets to return."""


@pytest.mark.parametrize(
    ("group", "yaml", "sentence"),
    [
        ("data", "load: {{_target_: {0}.strange_label}}", "model: it tells 10 classes apart, and the data have 78"),
        (
            "data",
            "load: {{_target_: {0}.absent}}",
            f"my file is gone (test_own_code.py, line {absent.__code__.co_firstlineno + 2})",
        ),
        ("model", "_target_: {0}.no_module", "model=mine cannot be built: it gives a NoneType, where a torch.nn.Mod"),
        ("model", "_target_: torch.nn.Flatten", "model=mine cannot be built: it has no parameters to train"),
        ("pruning", "criterion: {{_target_: {0}.nothing}}", "pruning by nothing cannot rank the weights of seed 0: "),
        ("pruning", "criterion: {{_target_: {0}.misspelt}}", "'Unpruned' object has no attribute 'wieghts' (test_own_"),
    ],
)
def test_the_reason_names_what_to_change(own: Callable[..., Any], group: str, yaml: str, sentence: str) -> None:
    done = own(group, yaml.format(__name__), *(["sparsity=0.5"] if group == "pruning" else []))
    assert done.code == 1 and f"dps: {sentence}" in done.stderr


def test_a_model_is_named_also_where_the_shape_of_the_data_is_not_known(own: Callable[..., Any]) -> None:
    done = own("model", f"_target_: {__name__}.no_module", "data.image_shape=null")
    assert done.code == 1 and "dps: model=mine cannot be built: it gives a NoneType" in done.stderr


class Unwritten(StackOptimizer):
    """An optimizer whose update is still to be written."""


class Returning(StackOptimizer):
    """An optimizer that forgets that a weight moves in place."""

    def update(self, weight: nn.Parameter, **values: Tensor) -> Tensor:
        return weight - values["lr"]


class Reviving(StackOptimizer):
    """An optimizer that moves weights without a gradient."""

    def update(self, weight: nn.Parameter, **values: Tensor) -> None:
        weight.sub_(values["lr"])


class Single(torch.optim.SGD):
    """An optimizer of one network."""


class Plain:
    """No callback."""


def of_nothing(step: int) -> None:
    """A schedule that forgets to return."""


def of_three(step: int) -> Tensor:
    """A schedule for three trials, where there is one."""
    return torch.ones(3)


@pytest.mark.parametrize(
    ("group", "yaml", "sentence"),
    [
        ("optimizer", "_target_: {0}.Unwritten", "optimizer._target_={0}.Unwritten must have update"),
        ("optimizer", "_target_: {0}.Returning", "optimizer: Returning.update returns what it has to do in place"),
        ("optimizer", "_target_: {0}.Reviving", "optimizer: Reviving.update moves pruned weights, whose gradient is"),
        ("optimizer", "_target_: {0}.Single", "optimizer._target_={0}.Single must be a dps.stack.optimizer."),
        ("lr_schedule", "_target_: {0}.of_nothing", "lr_schedule: of_nothing gives a NoneType at step 0, where a num"),
        ("lr_schedule", "_target_: {0}.of_three", "lr_schedule: of_three gives a tensor [3] at step 0, where a number"),
        ("callbacks", "mine: {{_target_: {0}.Plain}}", "callbacks.mine._target_={0}.Plain must be a pytorch_lightni"),
    ],
)
def test_what_trains_is_of_its_kind(own: Callable[..., Any], group: str, yaml: str, sentence: str) -> None:
    lr = ["+optimizer.lr=0.1"] if group == "optimizer" else []
    done = own(group, yaml.format(__name__), "sparsity=0.5", *lr)
    assert done.code == 1 and f"dps: {sentence.format(__name__)}" in done.stderr


def nothing(trial: Unpruned) -> None:
    """A criterion that forgets to return."""


def misspelt(trial: Unpruned) -> Weights:
    """A criterion with a slip."""
    return trial.wieghts  # type: ignore[attr-defined]


def in_place(trial: Unpruned) -> Weights:
    """Magnitude, by way of the weights themselves."""
    return {name: values.abs_() for name, values in trial.weights.items()}


def test_a_criterion_that_works_in_place_leaves_the_initial_weights_alone(
    own: Callable[..., Any], tmp_path: Path
) -> None:
    assert own("pruning", f"criterion: {{_target_: {__name__}.in_place}}", "sparsity=0.5").code == 0
    (tmp_path / "known").mkdir()
    assert dps(tmp_path / "known", *SMALL, "pruning=magnitude", "sparsity=0.5").code == 0
    found, expected = (
        records.read(study(folder, 8, "0.5")).drop(columns=["pruning", *SECONDS])
        for folder in (tmp_path, tmp_path / "known")
    )
    assert found.equals(expected)


WEIGHTS = {"a": torch.ones(1, 2, 3), "b": torch.ones(1, 2)}


@pytest.mark.parametrize(
    ("scores", "why"),
    [
        ({"a": WEIGHTS["a"], "b": WEIGHTS["b"].double()}, ""),
        ([WEIGHTS["a"], WEIGHTS["b"]], "it gives a list, where scores by parameter name are expected"),
        ({"a": WEIGHTS["a"]}, "it gives scores of a, where the parameters are a, b"),
        ({**WEIGHTS, "c": WEIGHTS["a"]}, "it gives scores of a, b, c, where the parameters are a, b"),
        ({**WEIGHTS, "a": WEIGHTS["a"].numpy()}, "the scores of a are a ndarray, where a tensor is expected"),
        ({**WEIGHTS, "a": WEIGHTS["a"][0]}, "the scores of a are torch.float32 of the shape [2, 3], not floats of"),
        (
            {**WEIGHTS, "b": WEIGHTS["b"] > 0},
            "the scores of b are torch.bool of the shape [1, 2], not floats of [1, 2]",
        ),
        (
            {**WEIGHTS, "b": WEIGHTS["b"].to(torch.complex64)},
            "the scores of b are torch.complex64 of the shape [1, 2], not floats",
        ),
        ({**WEIGHTS, "b": WEIGHTS["b"] * math.inf}, "the scores of b are not all finite"),
    ],
)
def test_scores_that_rank_nothing_are_told_why(scores: Any, why: str) -> None:
    assert refusal(scores, WEIGHTS).startswith(why) and bool(refusal(scores, WEIGHTS)) == bool(why)
