"""What every test has: one thread, a cache of its own, and the configurations that the command line would compose."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from configuration import Composed
from hydra import compose, initialize_config_module
from omegaconf import DictConfig, open_dict
from torch import Tensor

from dps.engine.module import StudyTask
from dps.engine.named import named
from dps.protocol.outcome import Outcome


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DPS_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)  # which a command in this process sets for Hydra


@pytest.fixture
def data_sets() -> Path:
    """The folder of the real data sets: $DPS_DATA, else shared/data beside the checkout; without it, tests skip."""
    return Path(os.environ.get("DPS_DATA", Path(__file__).parents[2] / "shared" / "data"))


@pytest.fixture
def composed(tmp_path: Path) -> Iterator[Composed]:
    """The job's configuration for overrides such as "workload=NAME", as `dps` gets it, its folder tmp_path."""

    def job(*overrides: str) -> DictConfig:
        cfg = compose("config", list(overrides), return_hydra_config=True)
        choices = cfg.hydra.runtime.choices
        with open_dict(cfg):
            del cfg["hydra"]
        return named(cfg, choices, tmp_path)

    with initialize_config_module("conf", version_base="1.3"):
        yield job


@pytest.fixture
def history(monkeypatch: pytest.MonkeyPatch) -> list[dict[int, list[Tensor]]]:
    """Every running trial's weights before each step of the studies that follow, and after the last."""
    steps: list[dict[int, list[Tensor]]] = []
    training_step, finish = StudyTask.training_step, StudyTask.finish

    def weights(task: StudyTask) -> dict[int, list[Tensor]]:
        stack = task.stack.weights_by_trial()
        return {trial: [w[0].clone() for w in values.values()] for trial, values in stack.items()}

    def noted_step(task: StudyTask, *arguments: Any) -> None:
        steps.append(weights(task))
        training_step(task, *arguments)

    def noted_finish(task: StudyTask, outcomes: Mapping[int, Outcome]) -> None:
        if task.trainer.global_step == task.trainer.max_steps:
            steps.append(weights(task))
        finish(task, outcomes)

    monkeypatch.setattr(StudyTask, "training_step", noted_step)
    monkeypatch.setattr(StudyTask, "finish", noted_finish)
    return steps


@pytest.fixture
def first_steps(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The step at which every fit began."""
    steps: list[int] = []
    start = StudyTask.on_train_start

    def spy(task: StudyTask) -> None:
        steps.append(task.trainer.global_step)
        start(task)

    monkeypatch.setattr(StudyTask, "on_train_start", spy)
    return steps
