import importlib
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from command import dps

from dps.models import SimpleCNN
from dps.pruning import snip
from dps.storage.source import source

MODEL = """
import torch.nn.functional as F
from torch import nn
from own_network.parts import activation

class Own(nn.Module):
    def __init__(self):
        super().__init__()
        self.dense = nn.Linear(784, 10)

    def forward(self, x):
        return self.dense(activation(x.flatten(1)))
"""
PARTS = "import torch\n\ndef activation(x):\n    return torch.{}(x)\n"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's package with a network, on the import path."""
    folder = tmp_path / "code" / "own_network"
    folder.mkdir(parents=True)
    (folder / "__init__.py").touch()
    (folder / "network.py").write_text(MODEL)
    (folder / "parts.py").write_text(PARTS.format("relu"))
    monkeypatch.syspath_prepend(str(folder.parent))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    return folder


def loaded() -> ModuleType:
    for name in [name for name in sys.modules if name.startswith("own_network")]:
        del sys.modules[name]
    importlib.invalidate_caches()
    return importlib.import_module("own_network.network")


def test_it_is_the_text_of_the_module_and_of_what_it_draws_on_in_its_package() -> None:
    text = source(SimpleCNN)
    assert "class SimpleCNN(nn.Module):" in text
    assert "class Conv2d(nn.Conv2d):" in text
    assert "class DataLoader" not in text and "torch.nn.modules" not in text.replace("from torch.nn.modules", "")
    assert "def mean_gradients(" in source(snip)


@pytest.mark.parametrize("changed", ["network.py", "parts.py"])
def test_it_changes_with_a_module_under_the_same_name(package: Path, changed: str) -> None:
    before = source(loaded().Own)
    assert source(loaded().Own) == before
    path = package / changed
    path.write_text(path.read_text().replace("relu", "tanh").replace("flatten(1)", "flatten(1) + 1"))
    assert source(loaded().Own) != before


def test_scores_are_computed_again_where_the_models_code_changed(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DPS_ALLOW", "own_network")
    cache, own = tmp_path / "cache", tmp_path / "own"
    (own / "model").mkdir(parents=True)
    (own / "model" / "own.yaml").write_text("_target_: own_network.network.Own\n")

    def scores(**options: Any) -> int:
        loaded()
        folder = tmp_path / f"run{len(list(tmp_path.glob('run*')))}"
        folder.mkdir()
        typed = [f"--config-dir={own}", "model=own", "batch_size=8"]
        done = dps(folder, *typed, "sparsity=0.5", "max_steps=1", cache=str(cache))
        assert (done.code, done.stderr) == (0, "")
        return len(list((cache / "scores").iterdir()))

    assert [scores(), scores()] == [1, 1]
    (package / "parts.py").write_text(PARTS.format("tanh"))
    assert scores() == 2
