"""Analysis and report never import torch, so that they start quickly and work where it is not installed."""

import pkgutil
import subprocess
import sys
from types import ModuleType

import pytest

from dps import analysis, report


@pytest.mark.parametrize("package", [analysis, report], ids=lambda package: package.__name__)
def test_no_module_imports_torch(package: ModuleType) -> None:
    names = [module.name for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")]
    assert len(names) > 5
    heavy = "torch", "pytorch_lightning", "matplotlib.pyplot"
    code = f"import sys, {', '.join(names)}; print(set({heavy}) & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
