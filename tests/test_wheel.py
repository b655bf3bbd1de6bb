"""What a wheel of the project holds, and that it works away from the sources."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("dps", "callbacks", "conf", "hydra_plugins")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    (path,) = folder.glob("dps-*.whl")
    return path


@pytest.mark.slow
def test_the_wheel_holds_all_packages_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
        (entry_points,) = (name for name in archive.namelist() if name.endswith("entry_points.txt"))
        assert "dps = dps.main:command" in archive.read(entry_points).decode()
    sources = {
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.suffix in (".py", ".yaml", ".html", ".css", ".js", ".txt", ".typed")
    }
    assert held == sources
    assert {"dps/report/templates/page.html", "dps/report/page.css", "dps/report/page.js"} <= held
    assert {"dps/report/vega/LICENSE.txt", "dps/report/vega/vega.min.js"} <= held
    assert "conf/config.yaml" in held and "conf/__init__.py" in held
    assert "hydra_plugins/dps_sobol/sweeper.py" in held and "hydra_plugins/__init__.py" not in held


@pytest.mark.slow
def test_a_sweep_from_the_wheel(wheel: Path, tmp_path: Path) -> None:
    installed = tmp_path / "installed"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(installed)
    typed = ["-m", "batch_size=8", "goal.error=0.3", "max_steps=4", "hydra.sweeper.trials=2"]
    start = (
        f"import sys; sys.path.insert(0, {str(installed)!r}); from dps import main; print(main.__file__); main.main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", start, *typed],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(str(installed))
    assert len(list((tmp_path / "outputs").rglob("trials.csv"))) == 1
