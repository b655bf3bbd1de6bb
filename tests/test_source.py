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
from own_network.settings import OFFSET

class Own(nn.Module):
    def __init__(self):
        super().__init__()
        self.dense = nn.Linear(784, 10)

    def forward(self, x):
        from .late import scaled
        return self.dense(scaled(activation(x.flatten(1)))) + OFFSET
"""
LATE = "def scaled(x):\n    from . import factors\n    return x * factors.FACTOR\n"
PARTS = "import torch\n\ndef activation(x):\n    return torch.{}(x)\n"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's package with a network, on the import path."""
    folder = tmp_path / "code" / "own_network"
    folder.mkdir(parents=True)
    (folder / "__init__.py").touch()
    (folder / "network.py").write_text(MODEL)
    (folder / "parts.py").write_text(PARTS.format("relu"))
    (folder / "settings.py").write_text("OFFSET = 0.5\n")
    (folder / "late.py").write_text(LATE)
    (folder / "factors.py").write_text("FACTOR = 0.5\n")
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


@pytest.mark.parametrize("changed", ["network.py", "parts.py", "settings.py", "late.py", "factors.py"])
def test_it_changes_with_a_module_under_the_same_name(package: Path, changed: str) -> None:
    before = source(loaded().Own)
    assert source(loaded().Own) == before
    path = package / changed
    for old, new in (("relu", "tanh"), ("flatten(1)", "flatten(1) + 1"), ("0.5", "0.25"), ("x * ", "2 * x * ")):
        path.write_text(path.read_text().replace(old, new))
    own = loaded().Own
    assert source(own) != before
    assert "own_network.late" not in sys.modules and "own_network.factors" not in sys.modules  # nothing of it is run


def test_what_cannot_be_imported_is_left_out(package: Path) -> None:
    before = source(loaded().Own)
    (package / "late.py").write_text("from ....nothing import x\nimport no_such.module, math\ndef scaled(:\n")
    assert "def scaled(:" in source(loaded().Own) != before


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
