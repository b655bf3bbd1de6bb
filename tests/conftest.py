"""What every test has: one thread, a cache of its own, and the configurations that the command line would compose."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from configuration import Composed
from hydra import compose, initialize_config_module
from omegaconf import DictConfig, open_dict

from dps.engine.named import named


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DPS_CACHE", str(tmp_path_factory.mktemp("cache")))


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
