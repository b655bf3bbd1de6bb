import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from configuration import Composed
from hydra.errors import InstantiationException
from hydra.utils import instantiate

from dps import errors
from dps.protocol.values import require


def sentence_of(action: Callable[[], object]) -> str:
    """What the failure of `action` is told as; one line, whatever it was."""
    with pytest.raises(Exception) as caught:
        action()
    sentence = errors.one_line(caught.value)
    assert sentence
    assert len(sentence.splitlines()) == 1
    assert "  " not in sentence
    return sentence


@pytest.mark.parametrize(
    ("override", "choices"),
    [
        ("workload=nosuch", ["digits_simple_cnn_momentum", "mnist_simple_cnn_sgd", "cifar10_resnet8_nesterov_linear"]),
        ("optimizer=adagrad", ["sgd", "momentum", "nesterov"]),
        ("hydra/sweeper=nosuch", ["sobol"]),
    ],
)
def test_an_unknown_choice_names_those_there_are(composed: Composed, override: str, choices: list[str]) -> None:
    sentence = sentence_of(lambda: composed(override))
    assert sentence.startswith(f"{override} is unknown")
    for choice in choices:
        assert choice in sentence


@pytest.mark.parametrize("key", ["optimizer.typo", "nosuch", "goal.eror"])
def test_an_unknown_key_names_it_and_where_to_look(composed: Composed, key: str) -> None:
    sentence = sentence_of(lambda: composed(f"{key}=3"))
    assert key in sentence
    assert "dps --cfg job" in sentence


@pytest.mark.parametrize("typed", ["batch_size=[1", "a=b=c", "optimizer.lr=interval(1"])
def test_what_cannot_be_parsed_is_named(composed: Composed, typed: str) -> None:
    assert typed in sentence_of(lambda: composed(typed))


def test_an_unknown_key_read_from_the_configuration(composed: Composed) -> None:
    cfg = composed()
    assert sentence_of(lambda: cfg.goal.eror).startswith("goal.eror is not an option")


def refuse(value: int) -> None:
    raise ValueError(f"value={value} must be\n   even")


def test_what_hydra_instantiates_fails_for_its_own_reason() -> None:
    target, place = f"{__name__}.refuse", f"(test_errors.py, line {refuse.__code__.co_firstlineno + 1})"
    assert sentence_of(lambda: instantiate({"_target_": target, "value": 3})) == f"value=3 must be even {place}"
    nested = {"_target_": "builtins.dict", "inner": {"_target_": target, "value": 5}}
    assert sentence_of(lambda: instantiate(nested)) == f"value=5 must be even {place}"


def test_the_line_of_a_users_that_a_library_failed_in_is_named_and_none_of_dps_is() -> None:
    def to_number() -> None:
        torch.zeros(2).item()

    place = f" (test_errors.py, line {to_number.__code__.co_firstlineno + 1})"
    assert sentence_of(to_number).endswith(place)
    assert sentence_of(lambda: require(False, "a", 1, "two")) == "a=1 must be two"


def test_an_instantiation_that_fails_without_a_cause() -> None:
    assert errors.one_line(InstantiationException("no\ntarget")) == "no target"


def test_lines_become_one() -> None:
    assert errors.one_line(ValueError("first line\n\n  second\tline \n")) == "first line second line"


def test_an_error_without_words_is_named() -> None:
    assert errors.one_line(KeyboardInterrupt()) == "KeyboardInterrupt"
    assert errors.one_line(ValueError("\n")) == "ValueError"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            PermissionError(13, "Permission denied", "/a/b"),
            "/a/b cannot be written (Permission denied): name another folder",
        ),
        (
            OSError(28, "No space left on device", "/a/b"),
            "/a/b cannot be written (No space left on device): name another",
        ),
        (FileNotFoundError(2, "No such file or directory", "/a/b"), "/a/b: No such file or directory"),
    ],
)
def test_a_file_is_named_with_what_can_be_done(error: OSError, said: str) -> None:
    assert errors.one_line(error).startswith(said)
    assert ("hydra.run.dir" in errors.one_line(error)) == ("written" in said)


def test_only_dps_is_told_to_name_another_folder() -> None:
    for name, ends in (("dps", "hydra.sweep.dir=FOLDER in a sweep"), ("dps-confirm", "(Permission denied)")):
        with pytest.raises(SystemExit) as stopped:
            errors.stop(name, PermissionError(13, "Permission denied", "/a/b"))
        assert str(stopped.value).startswith(f"{name}: /a/b cannot be written") and str(stopped.value).endswith(ends)


def test_what_cannot_be_read_is_told_from_what_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.R_OK)
    error = PermissionError(13, "Permission denied", str(tmp_path))
    assert errors.one_line(error) == f"{tmp_path} cannot be read (Permission denied)"
