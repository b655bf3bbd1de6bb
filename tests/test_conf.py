import inspect
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import hydra
import pandas as pd
import pytest
import pytorch_lightning as pl
import torch
from configuration import Composed
from omegaconf import DictConfig, ListConfig, OmegaConf
from pytorch_lightning.loggers import CSVLogger, Logger
from torch import nn

import conf
from callbacks import Prune
from dps.engine import fit, tracking
from dps.engine.study import Study
from dps.engine.wandb_trials import WandbTrials
from dps.models import StackedModel
from dps.models.layers import Linear
from dps.protocol.metaparameters import TABLE
from dps.pruning import Unpruned, masks
from dps.report.figures import paper
from dps.stack.adam import Adam, AdamW
from dps.stack.sgd import SGD
from dps.storage import configurations, trial_rows

FOLDER = Path(conf.__file__).parent
GROUPS = sorted(path.name for path in FOLDER.iterdir() if any(path.glob("*.yaml")))
OPTIONS = [(path.parent.name, path.stem) for path in sorted(FOLDER.glob("*/*.yaml"))]
WORKLOADS = [name for group, name in OPTIONS if group == "workload"]
PARTS = ("data", "model", "optimizer", "lr_schedule")
# what dps itself hands over, beside what the file gives
GIVEN: dict[str, dict[str, Any]] = {"dps.data.StudyData": {"batch_size": 32, "seed": 5}}


def names(group: str) -> list[str]:
    return [name for found, name in OPTIONS if found == group]


def targets(node: Any) -> Iterator[DictConfig]:
    """Every node that Hydra would instantiate."""
    children: list[Any] = []
    if isinstance(node, DictConfig):
        if node.get("_target_"):
            yield node
        children = [node[key] for key in node]
    elif isinstance(node, ListConfig):
        children = list(node)
    for child in children:
        yield from targets(child)


def assert_binds(node: DictConfig) -> None:
    """Raise TypeError where the target does not take these arguments, or has not been given all it needs."""
    arguments = {str(key): value for key, value in node.items() if not str(key).startswith("_")}
    arguments |= GIVEN.get(node["_target_"], {})
    signature = inspect.signature(hydra.utils.get_object(node["_target_"]))
    if node.get("_partial_"):
        signature.bind_partial(**arguments)
    else:
        signature.bind(**arguments)


def override(group: str, name: str) -> str:
    return f"{group}=[{name}]" if group == "callbacks" else f"{group}={name}"


def test_every_group_is_there() -> None:
    expected = "callbacks data logger lr_schedule model optimizer pruning space trainer workload"
    assert set(expected.split()) <= set(GROUPS)


@pytest.mark.parametrize(("group", "name"), OPTIONS)
def test_every_file_composes_and_its_targets_take_its_arguments(composed: Composed, group: str, name: str) -> None:
    cfg = composed(override(group, name))
    OmegaConf.resolve(cfg)
    found = list(targets(cfg if group == "workload" else cfg[group]))
    assert found or group == "space"
    for node in found:
        assert_binds(node)


@pytest.mark.parametrize("name", WORKLOADS)
def test_a_workload_opens_with_its_command_and_what_to_expect(composed: Composed, name: str) -> None:
    text = (FOLDER / "workload" / f"{name}.yaml").read_text()
    command = re.search(r"^#   dps -m (.*)$", text, re.MULTILINE)
    assert command and re.search(r"^# Expected: \w", text, re.MULTILINE)
    overrides = [re.sub(r",.*", "", override) for override in command[1].split()]  # the first value of each list
    assert composed(*overrides).workload == name


@pytest.mark.parametrize("name", WORKLOADS)
def test_a_workload_names_the_papers_figures_that_a_report_is_numbered_by(composed: Composed, name: str) -> None:
    cfg = composed(f"workload={name}")
    header = (FOLDER / "workload" / f"{name}.yaml").read_text().splitlines()[1]
    if header.startswith("# No figure of the paper"):
        return
    assert header.startswith("# Figure")
    key = {**configurations.about(cfg), "pruning": "snip"}
    numbers = {number for number in (paper.scaling_number(key), paper.trials_number(key)) if number not in (None, "3")}
    assert numbers <= set(re.findall(r"\d+", header))


# ---- what Hydra makes of them


@pytest.mark.parametrize("name", names("data"))
def test_data_is_made_without_being_loaded(composed: Composed, name: str) -> None:
    data = hydra.utils.instantiate(composed(f"data={name}").data, batch_size=32, seed=5)
    assert (data.batch_size, data.seed) == (32, 5)
    inspect.signature(data.load).bind(**data.source)
    assert data.standardise == ("channel" if name.startswith(("cifar10", "breast")) else "all")


@pytest.mark.parametrize(("name", "parameters"), [("simple_cnn", 62_346), ("resnet8", 75_050)])
def test_models(composed: Composed, name: str, parameters: int) -> None:
    model = hydra.utils.instantiate(composed(f"model={name}").model)
    assert sum(p.numel() for p in model.parameters()) == parameters


@pytest.mark.parametrize("schedule", names("lr_schedule"))
@pytest.mark.parametrize("optimizer", names("optimizer"))
def test_an_optimizer_and_a_schedule_become_one(composed: Composed, optimizer: str, schedule: str) -> None:
    cfg = composed(f"optimizer={optimizer}", f"lr_schedule={schedule}", "trial=[0,1]", "optimizer.lr=[0.5,0.25]")
    rows = Study.parse(cfg).trials
    columns = {name: [row[name] for row in rows] for name in rows[0] if name not in ("trial", "seed")}
    decay = {name: columns.pop(name) for name in ("decay_steps", "end_factor") if name in columns}
    weight = nn.Parameter(torch.zeros(2, 1))
    lr_schedule = partial(hydra.utils.instantiate(cfg.lr_schedule), **decay)
    found = hydra.utils.instantiate(cfg.optimizer)([[weight]], lr_schedule=lr_schedule, **columns)
    kinds = {"adam": Adam, "adamw": AdamW}
    assert type(found) is kinds.get(optimizer, SGD)
    assert getattr(found, "nesterov", False) == (optimizer == "nesterov")
    weight.grad = torch.ones_like(weight)
    found.step()
    first_update = {"nesterov": 1.9}.get(optimizer, 1)
    torch.testing.assert_close(weight.detach()[:, 0], -first_update * torch.tensor([0.5, 0.25]))


@pytest.mark.parametrize("name", names("pruning"))
def test_a_pruning_criterion_scores_a_network(composed: Composed, name: str) -> None:
    prune = hydra.utils.instantiate(composed(f"pruning={name}").pruning)
    assert isinstance(prune, Prune)
    assert prune.name == name and prune.cached == (name in ("snip", "grasp"))
    images, labels = torch.ones(4, 3, 1, 1), torch.zeros(4, dtype=torch.long)
    model = StackedModel(lambda: Linear(3, 2), images)
    weights = {key: values[None] for key, values in zip(model.names, model.initial(0), strict=True)}
    scores = prune.criterion(Unpruned(model, weights, images, labels, 0, 0.9))
    kept = masks(scores, 0.5)
    assert sum(int(mask.sum()) for mask in kept.values()) == 4


def test_a_trainer_on_the_processor(composed: Composed) -> None:
    trainer = fit._trainer(Study.parse(composed("trainer=cpu", "max_steps=12", "logger=[]")))
    assert trainer.max_steps == 12
    assert isinstance(trainer.accelerator, pl.accelerators.CPUAccelerator)


def test_trainers_share_what_they_do_not_choose(composed: Composed) -> None:
    cpu, gpu, ddp = (composed(f"trainer={name}").trainer for name in ("cpu", "gpu", "ddp"))
    assert (gpu.accelerator, gpu.devices) == ("gpu", 1)
    assert (ddp.accelerator, ddp.devices) == ("gpu", 2)
    for other in (gpu, ddp):
        changed = {key for key in other if other[key] != cpu.get(key)}
        assert changed <= {"accelerator", "devices", "strategy"}


@pytest.mark.parametrize(
    ("typed", "loggers"),
    [
        ("logger=csv", [CSVLogger]),
        ("logger=wandb", [WandbTrials]),
        ("logger=[wandb,csv]", [WandbTrials, CSVLogger]),
        ("logger=[]", []),
    ],
)
def test_loggers_write_into_the_studys_folder(
    composed: Composed, tmp_path: Path, typed: str, loggers: list[type[Logger]]
) -> None:
    study = Study.parse(composed(typed, "trial=[3,2]"))
    found: list[Any] = tracking.trackers(study)
    assert [type(tracker._logger) for tracker in found] == loggers
    assert all(tracker.save_dir == str(tmp_path) for tracker in found)


def test_curves_are_on_the_disk_as_they_come(composed: Composed, tmp_path: Path) -> None:
    (tracker,) = tracking.trackers(Study.parse(composed("logger=csv")))
    for step in (16, 32):
        tracker.log_metrics({"train_loss/trial=0": 1.5}, step=step)
        (path,) = tmp_path.glob("csv/**/metrics.csv")
        assert pd.read_csv(path)["step"].max() == step


def test_a_single_logger_needs_no_name(composed: Composed) -> None:
    cfg = composed()
    cfg.logger = cfg.logger.csv
    (found,) = tracking.trackers(Study.parse(cfg))
    assert isinstance(found._logger, CSVLogger)


# ---- the workloads


def test_the_workloads_are_those_of_the_paper() -> None:
    optimizers = ("sgd", "momentum", "nesterov")
    expected = {f"{data}_simple_cnn_{optimizer}" for data in ("mnist", "fashion_mnist") for optimizer in optimizers}
    expected |= {f"cifar10_resnet8_{optimizer}{linear}" for optimizer in optimizers for linear in ("", "_linear")}
    own = {
        "digits_simple_cnn_momentum",
        "digits_simple_cnn_sgd",
        "mnist_simple_cnn_adamw",
        "cifar10_resnet8_momentum_cosine",
    }
    assert set(WORKLOADS) == expected | own


@pytest.mark.parametrize("name", WORKLOADS)
def test_a_workload_is_what_its_name_says(composed: Composed, name: str) -> None:
    cfg = composed(f"workload={name}")
    parts = [cfg.names[part] for part in ("dataset", "model", "optimizer")]
    suffix = "" if cfg.names.lr_schedule == "constant" else f"_{cfg.names.lr_schedule}"
    assert "_".join(parts) + suffix == name == cfg.workload
    assert ("nesterov" in name) == bool(cfg.optimizer.get("nesterov"))
    assert ("momentum" in name or "nesterov" in name) == ("momentum" in cfg.optimizer)
    assert cfg.names.pruning == "snip"
    Study.parse(cfg)


@pytest.mark.parametrize("name", WORKLOADS)
def test_goal_interval_and_budget_are_the_papers(composed: Composed, name: str) -> None:
    cfg = composed(f"workload={name}")
    paper = {"mnist": (0.02, 16, 40_000), "fashion_mnist": (0.12, 16, 40_000), "cifar10": (0.4, 32, 100_000)}
    found = cfg.goal.error, cfg.goal.interval_steps, cfg.max_steps
    assert found == paper.get(cfg.names.dataset, found)


@pytest.mark.parametrize("name", WORKLOADS)
def test_the_search_space_is_all_that_a_trial_has(composed: Composed, name: str) -> None:
    cfg = composed(f"workload={name}")
    own = [one for one in TABLE if OmegaConf.select(cfg, one.option) is not None]
    assert list(cfg.space) == [one.option for one in own if one.name not in ("beta2", "eps")]
    assert Study.parse(cfg).trials[0].keys() == {"trial", "seed", *(one.name for one in own)}


def test_the_command_line_wins_over_the_workload(composed: Composed) -> None:
    cfg = composed(
        "workload=mnist_simple_cnn_sgd", "goal.error=0.03", "max_steps=5", "optimizer=nesterov", "model=resnet8"
    )
    assert (cfg.goal.error, cfg.goal.interval_steps, cfg.max_steps) == (0.03, 16, 5)
    assert cfg.optimizer.nesterov and cfg.model._target_ == "dps.models.ResNet8"


def test_names_are_columns_of_the_results(composed: Composed) -> None:
    assert set(composed().names) <= set(trial_rows.COLUMNS)
