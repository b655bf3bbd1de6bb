"""One home for every fact: no value that a record names, or that a folder is compared by, can be set by two keys."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from command import dps, study
from omegaconf import DictConfig, OmegaConf

from dps.data.sources import Images, digits
from dps.engine.options import Trainer
from dps.engine.study import Study
from dps.storage import records
from dps.storage.ownership import COMPARED, IGNORED

Composed = Callable[..., DictConfig]
SMALL = ["batch_size=8", "goal.error=0.3", "goal.interval_steps=4", "max_steps=8", "optimizer.lr=1e-6"]


def leaves(node: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in node.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def plain(cfg: DictConfig, resolve: bool) -> dict[str, Any]:
    return dict(leaves(OmegaConf.to_container(cfg, resolve=resolve)))


def is_compared(key: str) -> bool:
    of_compared, of_ignored = (any(f"{key}.".startswith(f"{name}.") for name in names) for names in (COMPARED, IGNORED))
    return of_compared or not of_ignored


@pytest.mark.parametrize(
    "overrides",
    [
        [],
        ["workload=cifar10_resnet8_nesterov_linear", "pruning=synflow", "trainer=ddp", "logger=wandb"],
        [
            "pruning=grasp",
            "callbacks=[smoothness,noise,curves,goal]",
            "data=cifar10_folder",
            "model=mlp",
            "model.inputs=3072",
        ],
    ],
    ids=["digits", "cifar10", "measured"],
)
def test_a_change_of_one_key_changes_no_other_value_that_counts(composed: Composed, overrides: list[str]) -> None:
    cfg = composed(*overrides)
    before = plain(cfg, resolve=True)
    studys = Study.parse(cfg)
    counted = {key for key in before if is_compared(key)} | {one.option for one in studys.metaparameters}
    assert {"batch_size", "sparsity", "goal.error", "goal.interval_steps", "max_steps", "race", "seed_data"} <= counted
    for key, value in plain(cfg, resolve=False).items():
        changed = OmegaConf.create(OmegaConf.to_container(cfg, resolve=False))
        assert isinstance(changed, DictConfig)
        OmegaConf.update(changed, key, f"{value} changed", force_add=True)
        others = {other for other, now in plain(changed, resolve=True).items() if now != before[other]} - {key}
        assert not others & counted, f"{key} also sets {others & counted}"


def test_what_a_record_says_of_a_study_is_read_from_one_key_each(composed: Composed) -> None:
    cfg = composed()
    about = Study.parse(cfg).about
    for name, value in about.items():
        holders = [key for key, found in plain(cfg, resolve=True).items() if key.rpartition(".")[2] == name]
        homes = {"goal_error": "goal.error", "interval_steps": "goal.interval_steps"}
        assert name in homes or len([key for key in holders if is_compared(key)]) == 1, (name, holders)
        assert OmegaConf.select(cfg, homes.get(name, holders[0] if holders else name)) == value


@pytest.mark.parametrize(
    "typed",
    [
        ["callbacks.goal.error=0.8"],
        ["data.batch_size=4"],
        ["data.seed=4"],
        ["pruning.sparsity=0", "sparsity=0.9"],
        ["pruning=synflow", "pruning.criterion.sparsity=0", "sparsity=0.9"],
        ["callbacks=[curves,goal]", "callbacks.curves.folder=elsewhere"],
        ["names.model=resnet8"],
        ["folder=elsewhere"],
        ["trainer.max_steps=2"],
    ],
    ids=" ".join,
)
def test_the_second_keys_of_before_are_unknown_options(tmp_path: Path, typed: list[str]) -> None:
    (option,) = (one.partition("=")[0] for one in typed if "." in one.partition("=")[0] or one.startswith("folder"))
    done = dps(tmp_path, *SMALL, *typed)
    assert done.code == 1 and done.stderr.startswith(f"dps: {option} is not an option"), done.stderr
    assert "_target_" not in done.stderr  # which is no option either
    assert not list(tmp_path.rglob("trials.csv"))


@pytest.mark.parametrize(
    ("typed", "named"),
    [
        ("+data.batch_size=4", "data.batch_size is not an option: set it by batch_size"),
        ("+data.seed=4", "data.seed is not an option: set it by seed_data"),
        ("+pruning.sparsity=0", "pruning.sparsity is not an option: set it by sparsity"),
        ("+names.model=resnet8", "names is not an option"),
        ("+folder=elsewhere", "folder is not an option: set it by hydra.run.dir"),
        ("+trainer.max_steps=20", "trainer.max_steps is not an option: set it by max_steps"),
        ("+trainer.fast_dev_run=true", "trainer.fast_dev_run is not an option"),
        ("+trainer.max_time='00:00:00:01'", "trainer.max_time is not an option"),
        ("+trainer.limit_train_batches=1", "trainer.limit_train_batches is not an option"),
        ("+trainer.gradient_clip_val=0.1", "trainer.gradient_clip_val is not an option"),
        ("+trainer.accumulate_grad_batches=4", "trainer.accumulate_grad_batches is not an option"),
        ("+callbacks.goal.error=0.8", "callbacks.goal.error is not an option"),
        ("+optimizer.typo=3", "optimizer.typo is not an option: dps.stack.sgd.SGD takes slices, lr, momentum"),
        ("+model.layers=3", "model.layers is not an option: dps.models.SimpleCNN takes in_channels, classes"),
        ("+pruning.criterion.typo=3", "pruning.criterion.typo is not an option"),
    ],
)
@pytest.mark.parametrize("mode", [[], ["-m", "hydra.sweeper.trials=2"]], ids=["one study", "a sweep"])
def test_nor_can_they_be_added(tmp_path: Path, typed: str, named: str, mode: list[str]) -> None:
    done = dps(tmp_path, *mode, *SMALL[:4], typed)
    assert done.code == 1 and named in done.stderr, done.stderr
    assert not list(tmp_path.rglob("trials.csv"))


@pytest.mark.parametrize(
    "typed",
    ["optimizer.nesterov=false", "model._target_=dps.models.MLP", "pruning._target_=pytorch_lightning.Callback"],
)
@pytest.mark.parametrize("mode", [[], ["-m", "hydra.sweeper.trials=2"]], ids=["one study", "a sweep"])
def test_what_a_recorded_name_stands_for_is_its_files_to_say(tmp_path: Path, typed: str, mode: list[str]) -> None:
    done = dps(tmp_path, *mode, *SMALL[:4], "optimizer=nesterov", typed)
    assert done.code == 1 and f"{typed.partition('=')[0]} is not an option" in done.stderr, done.stderr
    assert not list(tmp_path.rglob("trials.csv"))


@pytest.mark.parametrize("name", ["PL_TRAINER_FAST_DEV_RUN", "PL_TRAINER_MAX_TIME"])
def test_the_environment_changes_nothing_in_what_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "1")
    done = dps(tmp_path, *SMALL)
    assert done.code == 1 and f"the environment variable {name} would change what is trained" in done.stderr


def test_another_source_of_the_same_name_is_another_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DPS_ALLOW", "test_one_home")
    (tmp_path / "own" / "data").mkdir(parents=True)
    yaml = "_target_: dps.data.StudyData\nload: {{_target_: {}, _partial_: true}}\ntrain_examples: 1350\n"
    for number, source in enumerate(("dps.data.sources.digits", "test_one_home.reversed_digits")):
        (tmp_path / "own" / "data" / "mine.yaml").write_text(yaml.format(source))
        done = dps(tmp_path, f"--config-dir={tmp_path / 'own'}", *SMALL, "data=mine", f"trial={number}")
        assert done.code == number, done.stderr
    assert "data.load._target_ is dps.data.sources.digits there and test_one_home.reversed_digits here" in done.stderr


def reversed_digits() -> Images:
    """The digits with black for white."""
    images = digits()
    return Images(255 - images.train, images.train_labels, 255 - images.test, images.test_labels)


@pytest.mark.parametrize("argument", ["deterministic=true", "benchmark=false", "detect_anomaly=false"])
def test_what_changes_nothing_can_be_given_to_the_trainer(tmp_path: Path, argument: str) -> None:
    assert hasattr(Trainer, argument.partition("=")[0])
    done = dps(tmp_path, *SMALL, f"+trainer.{argument}")
    assert (done.code, done.stderr) == (0, "")
    assert records.read(study(tmp_path, 8))["steps_run"].tolist() == [8]
