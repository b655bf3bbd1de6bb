import subprocess
from importlib.metadata import version
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from command import dps, study
from omegaconf import OmegaConf

from dps.engine import environment
from dps.storage import environments

SMALL = ["batch_size=8", "goal.error=0.3", "goal.interval_steps=4", "max_steps=4"]


def noted(folder: Path) -> list[dict[str, object]]:
    return OmegaConf.to_container(OmegaConf.load(folder / ".hydra" / "environment.yaml"))  # type: ignore[return-value]


def test_a_study_says_where_it_was_trained(tmp_path: Path) -> None:
    assert dps(tmp_path, *SMALL).code == 0
    (found,) = noted(study(tmp_path, 8))
    assert found["torch"] == version("torch") and found["pytorch_lightning"] == version("pytorch-lightning")
    assert found["threads"] == torch.get_num_threads() == 1
    assert found["precision"] == "32-true"
    assert found["device"] and "float32_convolutions" in found
    (tmp_path / "again").mkdir()
    assert dps(tmp_path, *SMALL, "trial=1", "optimizer.lr=0.02").code == 0
    assert noted(study(tmp_path, 8)) == [found]


def test_slices_of_another_device_are_kept_and_said(tmp_path: Path) -> None:
    assert dps(tmp_path, *SMALL).code == 0
    folder = study(tmp_path, 8)
    path = folder / ".hydra" / "environment.yaml"
    path.write_text(path.read_text().replace(f"device: {noted(folder)[0]['device']}\n", "device: NVIDIA H200\n"))
    file = folder / ".hydra" / "stack.yaml"
    remedy = f"slices that were fastest on NVIDIA H200: remove {file} to have them measured on"
    done = dps(tmp_path, *SMALL, "trial=1", "optimizer.lr=0.02")
    assert done.code == 0 and remedy in " ".join(done.stdout.split())
    done = dps(tmp_path, *SMALL, "trial=2", "optimizer.lr=0.02")
    assert done.code == 0 and "slices" not in done.stdout  # it has been said


def test_every_environment_is_kept_once_and_the_latest_last(tmp_path: Path) -> None:
    one, other = {"torch": "2.9", "commit": None}, {"torch": "2.10", "commit": "abc+"}
    for found in (one, other, one):
        environments.note(tmp_path, dict(found))
    assert noted(tmp_path) == [other, one]
    (tmp_path / ".hydra" / "environment.yaml").write_text("torch: [")
    with pytest.raises(ValueError, match=r"environment\.yaml is damaged: .*; restore the file"):
        environments.note(tmp_path, dict(one))


def test_the_commit_is_that_of_the_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "checkout" / "dps"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    monkeypatch.setattr(environment, "__file__", str(package / "engine" / "environment.py"))
    assert environment.environment(pl.Trainer(accelerator="cpu", logger=False))["commit"] is None

    def git(*arguments: str) -> str:
        identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
        command = ["git", "-C", str(package.parent), *identity, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    git("init", "-q")
    git("add", "-A")
    git("commit", "-qm", "first")
    commit = git("rev-parse", "HEAD")[:12]
    assert environment.environment(pl.Trainer(accelerator="cpu", logger=False))["commit"] == commit
    (package / "__init__.py").write_text("changed = True\n")
    assert environment.environment(pl.Trainer(accelerator="cpu", logger=False))["commit"] == f"{commit}+"
