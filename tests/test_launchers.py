"""The launchers of conf/hydra/launcher, and Hydra's own: each records what one process does."""

import os
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from command import dps, place, process, rows, study
from configuration import Composed
from hydra import compose
from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig, OmegaConf

import conf
from dps import errors
from hydra_plugins.dps_sobol.sweeper import SobolSweeper

OWN = sorted(path.stem for path in (Path(conf.__file__).parent / "hydra" / "launcher").glob("*.yaml"))
PLUGINS = {"local": "joblib", "gpus": "ray", "slurm": "submitit", "submitit_local": "submitit"}
SWEEP = [
    *("-m", "batch_size=8,16", "hydra.sweeper.trials=3", "hydra.sweeper.trials_per_job=2", "race=false"),
    *("max_steps=32", "goal.error=0.3", "goal.interval_steps=4", "bookkeeping.checkpoint.every_seconds=0"),
    *("stack.trials_per_slice=2", "stack.examples_per_pass=8", "stack.products=false"),
]
TYPED = {
    "local": ["hydra.launcher.n_jobs=2"],
    "gpus": [],
    "slurm": ["hydra.launcher.cpus_per_task=1"],
    "submitit_local": ["hydra.launcher.timeout_min=5"],
}


def needs(launcher: str) -> None:
    plugin = PLUGINS[launcher]
    if find_spec(f"hydra_plugins.hydra_{plugin}_launcher") is None or find_spec(plugin) is None:
        pytest.skip(f"needs dps[{plugin}]")


@pytest.fixture
def launcher(composed: Composed) -> Callable[..., DictConfig]:
    """hydra.launcher as it is composed for overrides."""
    return lambda *typed: compose("config", list(typed), return_hydra_config=True).hydra.launcher


@pytest.mark.parametrize("name", OWN)
def test_a_launchers_name_is_no_plugins(launcher: Callable[..., DictConfig], name: str) -> None:
    launcher()  # Hydra has looked for its plugins
    assert name not in [found.removesuffix(".yaml") for found in ConfigStore.instance().list("hydra/launcher")]


@pytest.mark.parametrize(
    ("name", "extra"), [*((name, PLUGINS[name]) for name in OWN), ("joblib", "joblib"), ("submitit_local", "submitit")]
)
def test_a_launcher_without_its_plugin_names_the_extra(
    launcher: Callable[..., DictConfig], monkeypatch: pytest.MonkeyPatch, name: str, extra: str
) -> None:
    launcher()
    known = ConfigStore.instance().repo["hydra"]["launcher"]
    for plugins in ("joblib", "ray", "submitit_local", "submitit_slurm"):
        monkeypatch.delitem(known, f"{plugins}.yaml", raising=False)
    with pytest.raises(Exception) as caught:
        launcher(f"hydra/launcher={name}")
    expected = f"hydra/launcher={name} needs the extra dps[{extra}], which is not installed"
    assert errors.one_line(caught.value) == expected


@pytest.mark.parametrize(
    ("typed", "gpus", "threads"),
    [
        ([], None, "4 / 1"),
        (["trainer=gpu"], 1, "4 / 1"),
        (["trainer=ddp", "trainer.devices=4"], 4, "4 / 4"),
        (["trainer=ddp", "trainer.accelerator=cpu"], None, "4 / 2"),
    ],
)
def test_a_job_has_the_gpus_and_threads_of_its_trainer(
    launcher: Callable[..., DictConfig], typed: list[str], gpus: int | None, threads: str
) -> None:
    needs("slurm")
    slurm = launcher("hydra/launcher=slurm", *typed)
    assert slurm.gpus_per_node == gpus
    assert list(slurm.setup) == ["export SRUN_CPUS_PER_TASK=4", f"export OMP_NUM_THREADS=$(({threads}))"]


@pytest.mark.parametrize(("launcher", "here"), [({"ray": {"init": {"address": None}}}, True), ({}, False)])
def test_ray_without_a_cluster_has_the_devices_that_there_are_here(launcher: dict[str, Any], here: bool) -> None:
    sweeper = SobolSweeper(trials=1, trials_per_job=None, replicates=1)
    sweeper.master_config = OmegaConf.create({"hydra": {"launcher": launcher}})
    assert sweeper._ray_is_here() == here


@pytest.fixture(scope="module")
def by_itself(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep in one process."""
    folder = tmp_path_factory.mktemp("by_itself")
    assert dps(folder, *SWEEP).code == 0
    return folder


@pytest.fixture
def stand_ins(tmp_path: Path) -> dict[str, str]:
    """The environment in which Slurm's commands are stand-ins."""
    folder = place(tmp_path, "bin")
    commands = Path(__file__).with_name("slurm.py").resolve()
    for command in ("sbatch", "srun", "scontrol", "sacct"):
        (folder / command).symlink_to(commands)
    return {"STANDIN": str(place(tmp_path, "state")), "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}


@pytest.mark.slow
@pytest.mark.parametrize("name", TYPED)
def test_a_launcher_records_what_one_process_does(
    tmp_path: Path, by_itself: Path, stand_ins: dict[str, str], name: str
) -> None:
    needs(name)
    folder = place(tmp_path, "sweep")
    done = process(folder, *SWEEP, f"hydra/launcher={name}", *TYPED[name], env=stand_ins, seconds=300)
    assert done.code == 0, done.stderr
    for size in (8, 16):
        pd.testing.assert_frame_equal(rows(study(folder, size)), rows(study(by_itself, size)))
    if name == "slurm":
        assert (Path(stand_ins["STANDIN"]) / "signalled").exists()  # so one job was ended, and went on in another turn
