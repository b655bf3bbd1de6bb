"""What every test has: one thread, a cache of its own, and the configurations that the command line would compose."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_module
from omegaconf import DictConfig, OmegaConf


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
def composed(tmp_path: Path) -> Iterator[Callable[..., DictConfig]]:
    """The job's configuration for overrides such as "workload=NAME", as `dps` gets it, its folder below tmp_path."""

    def job(*overrides: str) -> DictConfig:
        cfg = compose("config", list(overrides), return_hydra_config=True)
        choices = cfg.hydra.runtime.choices
        OmegaConf.set_struct(cfg, False)
        del cfg["hydra"]
        OmegaConf.set_struct(cfg, True)
        cfg.workload = choices.workload
        for name in cfg.names:
            cfg.names[name] = choices["data" if name == "dataset" else name]
        cfg.folder = str(tmp_path)
        return cfg

    with initialize_config_module("conf", version_base="1.3"):
        yield job
