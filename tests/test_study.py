"""The trials of a study, as a list of numbers and lists of metaparameters give them."""

from pathlib import Path
from typing import Any

import pytest
from configuration import Composed, config, refusal
from omegaconf import DictConfig, OmegaConf

from dps.engine.named import GROUPS, named
from dps.engine.study import Study
from dps.protocol.values import shown
from dps.storage import records

POSITIVE = "a positive integer"


def trials_of(cfg: DictConfig) -> list[dict[str, Any]]:
    return [dict(trial) for trial in Study.parse(cfg).trials]


def test_every_workload_is_accepted_as_it_is(composed: Composed) -> None:
    for typed in ([], ["workload=cifar10_resnet8_nesterov_linear", "batch_size=16384", "sparsity=0.9"]):
        assert [trial["trial"] for trial in Study.parse(composed(*typed)).trials] == [0]


def test_a_study_says_what_its_trials_share_and_where_they_lie(composed: Composed, tmp_path: Path) -> None:
    study = Study.parse(composed("sparsity=0.5", "trial=[4,2,3]"))
    assert study.folder == tmp_path
    assert study.about == {
        "workload": "digits_simple_cnn_momentum",
        "dataset": "digits",
        "model": "simple_cnn",
        "optimizer": "momentum",
        "lr_schedule": "constant",
        "pruning": "snip",
        "batch_size": 64,
        "sparsity": 0.5,
        "replicate": 0,
        "goal_error": 0.05,
        "interval_steps": 16,
        "max_steps": 4000,
    }


@pytest.mark.parametrize("group", ["workload", "data", "pruning"])
def test_a_name_that_a_spreadsheet_would_run_is_refused(tmp_path: Path, group: str) -> None:
    choices = dict.fromkeys(("workload", *GROUPS.values()), "fine") | {group: "=cmd|' /C calc'!A0"}
    with pytest.raises(ValueError, match=rf"^{group}==cmd\|' /C calc'!A0 would be run .*: rename its file$"):
        named(OmegaConf.create({}), choices, tmp_path)


def test_every_set_of_trials_has_a_checkpoint_of_its_own(composed: Composed, tmp_path: Path) -> None:
    names = [Study.parse(composed(f"trial={trial}")).checkpoint for trial in ("[4,2,3]", "[2,4]", "[2,5]", "7")]
    assert names[0] == tmp_path / "trials=2-4.ckpt" and names[3] == tmp_path / "trials=7-7.ckpt"
    assert len(set(names)) == 4 and {path.parent for path in names} == {tmp_path}


def test_a_recorded_trial_is_missing_no_more_and_keeps_its_metaparameters(composed: Composed, tmp_path: Path) -> None:
    study = Study.parse(composed("trial=[0,5]", "optimizer.lr=[0.1,0.2]", "optimizer.momentum=[0.9,0.8]"))
    assert study.missing() == list(study.trials)
    study.record([{"trial": 5, "status": "infeasible", "steps_run": 16}])
    (row,) = records.read(tmp_path).to_dict("records")
    assert {name: row[name] for name in study.about} == study.about
    assert (row["trial"], row["seed"], row["lr"], row["momentum"]) == (5, 5, 0.2, 0.8)
    assert (row["status"], row["steps_run"]) == ("infeasible", 16)
    assert study.missing() == [{"trial": 0, "seed": 0, "lr": 0.1, "momentum": 0.9}]
    sentence = refusal(lambda cfg: Study.parse(cfg).missing(), composed("trial=5", "optimizer.lr=0.3"))
    assert "holds trial 5 with optimizer.lr=0.2, not 0.3 and optimizer.momentum=0.8, not 0.9" in sentence


def test_a_scalar_stands_for_all_trials() -> None:
    cfg = config(trial=[4, 2, 7], optimizer__lr=[0.1, 0.2, 0.3], lr_schedule__decay_steps=[10, 20, 30])
    shared = {"momentum": 0.9, "end_factor": 0.01}
    assert trials_of(cfg) == [
        {"trial": 4, "seed": 4, "lr": 0.1, "decay_steps": 10, **shared},
        {"trial": 2, "seed": 2, "lr": 0.2, "decay_steps": 20, **shared},
        {"trial": 7, "seed": 7, "lr": 0.3, "decay_steps": 30, **shared},
    ]


def test_one_trial_as_a_scalar_or_a_list_of_one() -> None:
    expected = [{"trial": 3, "seed": 3, "lr": 0.5, "momentum": 0.9, "decay_steps": 45000, "end_factor": 0.01}]
    assert trials_of(config(trial=3, optimizer__lr=0.5)) == expected
    assert trials_of(config(trial=[3], optimizer__lr=[0.5])) == expected


def test_a_seed_is_the_trials_number_unless_it_is_given_and_another_in_each_replicate(composed: Composed) -> None:
    def seeds(*typed: str) -> list[int]:
        return [trial["seed"] for trial in trials_of(composed("trial=[4,2]", *typed))]

    assert (seeds(), seeds("seed=7"), seeds("seed=[9,0]")) == ([4, 2], [7, 7], [9, 0])
    assert seeds("replicate=3") == [3_000_004, 3_000_002]
    sentence = refusal(Study.parse, composed("trial=[4,2]", "seed=[1,2,3]"))
    assert "seed lists 3 values for 2 trials" in sentence


def test_a_replicate_has_data_of_its_own(composed: Composed) -> None:
    data = [
        Study.parse(composed(*typed)).data().seed for typed in ((), ("replicate=2",), ("replicate=2", "seed_data=5"))
    ]
    assert data == [0, 2, 7]


def test_an_optimizer_and_a_schedule_have_only_their_own_metaparameters(composed: Composed) -> None:
    assert trials_of(composed("workload=mnist_simple_cnn_sgd")) == [{"trial": 0, "seed": 0, "lr": 0.01}]
    momentum, linear = {"momentum": 0.9}, {"decay_steps": 45000, "end_factor": 0.01}
    assert trials_of(composed()) == [{"trial": 0, "seed": 0, "lr": 0.01, **momentum}]
    assert trials_of(composed("workload=cifar10_resnet8_sgd_linear")) == [{"trial": 0, "seed": 0, "lr": 0.01, **linear}]
    both = trials_of(composed("workload=cifar10_resnet8_nesterov_linear", "optimizer.lr=0.3"))
    assert both == [{"trial": 0, "seed": 0, "lr": 0.3, **momentum, **linear}]


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
    sentence = refusal(Study.parse, config(trial=trials, **{option.replace(".", "__"): values}))
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
    assert refusal(Study.parse, config(trial=[0, 1, 2], **{option.replace(".", "__"): values})) == named


@pytest.mark.parametrize(
    ("option", "value", "shown", "right"),
    [
        *(("optimizer.lr", value, shown(value), "a positive number") for value in (0, -1, "fast")),
        *(("optimizer.lr", float(value), value, "a positive number") for value in ("nan", "inf")),
        ("optimizer.lr", None, "null", "a positive number"),
        *(("optimizer.momentum", value, shown(value), "in [0, 1)") for value in (1, -0.1, 1.5)),
        ("optimizer.momentum", float("nan"), "nan", "in [0, 1)"),
        ("optimizer.momentum", None, "null", "in [0, 1)"),
        *(("lr_schedule.decay_steps", value, shown(value), POSITIVE) for value in (0, -1, 1.5)),
        ("lr_schedule.decay_steps", None, "null", POSITIVE),
        *(("lr_schedule.end_factor", value, shown(value), "in [0, 1]") for value in (-0.1, 1.1)),
        ("lr_schedule.end_factor", None, "null", "in [0, 1]"),
        *(("trial", value, shown(value), "from 0 on") for value in (-1, 0.5, "all", True, [], [0, -1], [3, 1, 3])),
        ("trial", None, "null", "from 0 on"),
        *(("seed", value, shown(value), "an integer from 0 to 999999") for value in (-1, 0.5, 1_000_000, [-1])),
    ],
)
def test_a_refusal_names_the_option_the_value_and_what_is_right(
    option: str, value: Any, shown: str, right: str
) -> None:
    sentence = refusal(Study.parse, config(**{option.replace(".", "__"): value}))
    assert f"{option}={shown} must be" in sentence
    assert right in sentence


@pytest.mark.parametrize(
    "accepted",
    [
        {"optimizer__lr": 1e-8},
        {"optimizer__lr": 2},
        {"optimizer__momentum": 0},
        {"lr_schedule__decay_steps": 1, "lr_schedule__end_factor": 0},
        {"lr_schedule__end_factor": 1},
        {"trial": 7},
    ],
)
def test_the_ends_of_every_range_are_accepted(accepted: dict[str, Any]) -> None:
    Study.parse(config(**accepted))
