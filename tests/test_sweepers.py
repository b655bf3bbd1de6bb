"""Hydra's other sweepers: each of their jobs is one study, or one trial."""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml
from command import dps, process, rows, study
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher

SMALL = [
    *("goal.error=0.3", "goal.interval_steps=4", "stack.trials_per_slice=2", "stack.examples_per_pass=8"),
    "stack.products=false",
]
TRIALS = "trial=${hydra:job.num}"


@pytest.fixture
def returned(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """What the jobs of a sweep return to its sweeper."""
    launcher: Any
    (launcher,) = (found for found in Plugins.instance().discover(Launcher) if found.__name__ == "BasicLauncher")
    values: list[int] = []
    original = launcher.launch

    def launch(self: Launcher, jobs: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        returns: Sequence[JobReturn] = original(self, jobs, initial_job_idx)
        values.extend(job.return_value for job in returns)
        return returns

    monkeypatch.setattr(launcher, "launch", launch)
    return values


def test_a_plain_grid(tmp_path: Path, returned: list[int]) -> None:
    typed = ["batch_size=8,16", "trial=[0,1]", "optimizer.lr=[0.02,1e-6]", "max_steps=12", *SMALL]
    done = dps(tmp_path, "-m", "hydra/sweeper=basic", *typed)
    assert (done.code, done.stderr) == (0, "")
    assert rows(study(tmp_path, 8))["status"].tolist() == ["incomplete", "incomplete"]
    assert rows(study(tmp_path, 16))["steps_to_result"].iloc[0] == 12
    assert returned == [12 + 4, 12]  # without an answer: more than any trial could have needed


@pytest.mark.slow
@pytest.mark.skipif(find_spec("hydra_plugins.hydra_optuna_sweeper") is None, reason="needs hydra-optuna-sweeper")
def test_optuna_minimises_the_answer(tmp_path: Path) -> None:
    typed = ["-m", "hydra/sweeper=optuna", TRIALS, "batch_size=16", "max_steps=16", *SMALL]
    typed += ["hydra.sweeper.n_trials=6", "hydra.sweeper.n_jobs=1", "+hydra.sweeper.sampler.seed=2"]
    typed += ["optimizer.lr=tag(log, interval(1e-5, 100))", "optimizer.momentum=0.9", "race=false"]
    assert process(tmp_path, *typed).code == 0
    found = rows(study(tmp_path))
    assert list(found.index) == list(range(6))
    assert set(found["status"]) >= {"complete", "incomplete"}
    answer = yaml.safe_load((study(tmp_path).parent / "optimization_results.yaml").read_text())
    assert answer["best_value"] == found["steps_to_result"].min()
    best = found[found["steps_to_result"] == answer["best_value"]]
    assert answer["best_params"]["optimizer.lr"] in best["lr"].tolist()
    assert process(tmp_path, *typed).code == 0  # the same seed, and so the same trials, all recorded
    assert rows(study(tmp_path)).equals(found)
