import os
from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig, OmegaConf

from dps.protocol.metaparameters import TABLE
from dps.storage import ownership

OPTIONS = [row.option for row in TABLE]


def config(**changed: Any) -> DictConfig:
    cfg = OmegaConf.create(
        {
            "workload": "w",
            "batch_size": 64,
            "sparsity": 0,
            "precision": "ieee",
            "replicate": 0,
            "trial": [0, 1],
            "goal": {"error": 0.02, "interval_steps": "${interval}"},
            "interval": 16,
            "optimizer": {"_target_": "dps.stack.sgd.Momentum", "_partial_": True, "lr": [0.1, 1e-05], "momentum": 0.9},
            "data": {"_target_": "dps.data.StudyData", "root": "data", "load": {"root": "data"}},
            "trainer": {"devices": 1, "precision": "32-true"},
            "logger": None,
        }
    )
    for key, value in changed.items():
        OmegaConf.update(cfg, key.replace("__", "."), value, force_add=True)
    return cfg


@pytest.fixture
def study(tmp_path: Path) -> Path:
    folder = tmp_path / "outputs" / "study"
    ownership.claim(folder, config(), ["goal.error=0.02", "name='a: b'"])
    (folder / "trials.csv").touch()
    return folder


def saved(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / ".hydra").iterdir()}


def test_the_record_is_the_resolved_configuration(study: Path) -> None:
    cfg = OmegaConf.load(study / ".hydra" / "config.yaml")
    assert cfg == OmegaConf.create(OmegaConf.to_container(config(), resolve=True))
    assert OmegaConf.load(study / ".hydra" / "overrides.yaml") == ["goal.error=0.02", "name='a: b'"]


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"sparsity": 0.0},
        {"trial": 7, "optimizer__lr": 0.3, "optimizer__momentum": None, "optimizer___partial_": False},
        {"lr_schedule__decay_steps": 3, "lr_schedule__end_factor": 0.1, "space": {"lr": "interval(0,1)"}},
        {"data__root": "elsewhere", "data__download": True, "pruning": {"cached": False}},
        {"trainer__devices": 2, "logger": {"name": "csv"}, "callbacks": {"bar": {"refresh": 1}}},
        {"optimizer__weight_decay": None, "lr_schedule__warmup_steps": None, "loss": {"label_smoothing": None}},
        {"bookkeeping": {"checkpoint": {"every_seconds": 0}}, "metaparameters": {"warmup": {"idle": 0}}},
    ],
)
def test_what_changes_no_result_is_accepted_and_never_overwritten(study: Path, changed: dict[str, Any]) -> None:
    before = saved(study)
    ownership.claim(study, config(**changed), ["other=1"], OPTIONS)
    assert saved(study) == before


def test_metaparameters_that_the_study_does_not_have_are_compared(study: Path) -> None:
    with pytest.raises(ValueError, match=r"\(optimizer\.momentum is 0\.9 there and 0\.8 here\)"):
        ownership.claim(study, config(optimizer__lr=0.3, optimizer__momentum=0.8), [], ["optimizer.lr"])


def test_trials_with_and_without_weight_decay_lie_in_folders_apart(tmp_path: Path) -> None:
    for there, here in ((None, 0.1), (0.1, None)):
        folder = tmp_path / f"{there}"
        ownership.claim(folder, config(optimizer__weight_decay=there), [])
        (folder / "trials.csv").touch()
        named = {None: "null", 0.1: "given trial by trial"}
        with pytest.raises(ValueError, match=f"weight_decay is {named[there]} there and {named[here]} here"):
            ownership.claim(folder, config(optimizer__weight_decay=here), [], OPTIONS)
    ownership.claim(tmp_path / "0.1", config(optimizer__weight_decay=0.2), [], OPTIONS)


def test_the_most_trials_that_a_sweep_asked_for_are_known(study: Path) -> None:
    found = []
    for trials in (None, 25, 100, 50, None):
        ownership.claim(study, config(), [], trials=trials)
        found.append(ownership.sweep_trials(study))
    assert found == [0, 25, 100, 100, 100]


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        (
            {"goal__error": 0.03, "batch_size": 32},
            ["batch_size is 64 there and 32 here", "goal.error is 0.02 there and 0.03"],
        ),
        ({"interval": 32}, ["goal.interval_steps is 16 there and 32 here"]),
        ({"trainer__precision": "64-true"}, ["trainer.precision is 32-true there and 64-true here"]),
        ({"optimizer___target_": "dps.stack.sgd.SGD"}, ["optimizer._target_ is dps.stack.sgd.Momentum there"]),
        ({"race": True}, ["race is absent there and true here"]),
        ({"data__rootless": None}, ["data.rootless is absent there and null here"]),
    ],
)
def test_another_configuration_is_refused_with_every_difference(
    study: Path, changed: dict[str, Any], named: list[str]
) -> None:
    before = saved(study)
    with pytest.raises(ValueError) as error:
        ownership.claim(study, config(**changed), [])
    message = str(error.value)
    assert all(name in message for name in [*named, str(study), "hydra.run.dir=", "hydra.sweep.dir="])
    assert message.count(" there and ") == len(changed) + ("interval" in changed)
    assert saved(study) == before


def test_a_checkpoint_is_a_result_too(study: Path) -> None:
    (study / "trials.csv").rename(study / "last.ckpt")
    with pytest.raises(ValueError, match=r"goal\.error is 0\.02 there and 0\.5 here"):
        ownership.claim(study, config(goal__error=0.5), [])


def test_a_record_without_results_gives_way(study: Path) -> None:
    (study / "trials.csv").unlink()
    ownership.claim(study, config(goal__error=0.5), ["goal.error=0.5"])
    assert OmegaConf.load(study / ".hydra" / "config.yaml").goal.error == 0.5
    assert OmegaConf.load(study / ".hydra" / "overrides.yaml") == ["goal.error=0.5"]


def test_results_without_a_record_are_refused(tmp_path: Path) -> None:
    (tmp_path / "trials.csv").write_text("mine")
    with pytest.raises(ValueError, match=r"holds results but no \.hydra/config\.yaml; choose another folder"):
        ownership.claim(tmp_path, config(), [])
    assert not (tmp_path / ".hydra").exists() and (tmp_path / "trials.csv").read_text() == "mine"


@pytest.mark.parametrize(
    "text",
    [
        *("a: [1", "", "3", "- 1\n", "a: ${nowhere}", "a: \x00"),
        *(
            "names: 3",
            "goal: [1]",
            "batch_size: x",
            "sparsity: 1.5",
            "trial: [0, -1]",
            "trial: {a: 1}",
            "max_steps: 1.5",
        ),
        *("goal: {error: 7}", "workload: 3", "names: {model: [1]}", "optimizer: 3"),
    ],
)
def test_a_damaged_record_is_named(study: Path, text: str) -> None:
    path = study / ".hydra" / "config.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match="is damaged") as error:
        ownership.claim(study, config(), [])
    assert str(path) in str(error.value) and "\n" not in str(error.value)
    assert path.read_text() == text


@pytest.mark.parametrize("text", ["trials: x", "trials: -1", "trials: 2.5", "trials: [1]", "trials:", "a: 1", "- 1"])
def test_a_damaged_number_of_trials_is_named(study: Path, text: str) -> None:
    path = study / ".hydra" / "sweep.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"is damaged: .*; restore the file, or remove the folder") as error:
        ownership.claim(study, config(), [], trials=4)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "study"):
        with pytest.raises(ValueError, match=r"cannot be written \(.+\); .*hydra\.run\.dir=FOLDER") as error:
            ownership.claim(folder, config(), [])
        assert f"{folder} " in str(error.value)


def test_a_write_that_fails_leaves_no_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(source: Path, target: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(ValueError, match=r"cannot be written \(Permission denied\)"):
        ownership.claim(tmp_path, config(), [])
    assert list((tmp_path / ".hydra").iterdir()) == []
