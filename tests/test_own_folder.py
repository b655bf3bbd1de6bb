"""The folder of one's own that docs/extending.md shows: a model, data, criterion, optimizer and schedule."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from command import dps, process
from torch import Tensor, nn

from dps.analysis.results import gather
from dps.stack.optimizer import StackOptimizer
from dps.stack.schedules import constant
from dps.storage import records

PAGE = Path(__file__).parents[1] / "docs" / "extending.md"
SECTION = PAGE.read_text().partition("\n## All of it in one folder\n")[2].partition("\n## ")[0]
WORKLOAD = "pixels_perceptron_signum"
History = list[dict[int, list[Tensor]]]  # the fixture `history`


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with these files, as they stand on the page, on the import path."""
    for name, text in re.findall(r"^`([\w/.]+)`:\n\n```\w+\n(.*?)```", SECTION, re.MULTILINE | re.DOTALL):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(tmp_path / "lab")
    return tmp_path / "lab"


def test_it_takes_less_than_40_lines(lab: Path) -> None:
    files = [path for path in lab.rglob("*") if path.is_file()]
    groups = {path.parent.name for path in files if path.suffix == ".yaml"}
    assert groups == {"data", "model", "pruning", "optimizer", "lr_schedule", "workload"}
    lines = [line for path in files for line in path.read_text().splitlines() if line]
    assert 30 < len(lines) < 40


def test_its_optimizer_moves_every_trial_by_its_own_values(lab: Path) -> None:
    from parts import Signum  # type: ignore[import-not-found]

    lr, momentum = [0.1, 0.02, 0.3], [0.9, 0.5, 0.0]
    draw = torch.Generator().manual_seed(0)
    weight = nn.Parameter(torch.randn(3, 4, 5, dtype=torch.float64, generator=draw))
    optimizer: StackOptimizer = Signum([[weight]], constant, lr=lr, momentum=momentum)
    expected, mean = weight.detach().numpy().copy(), np.zeros((3, 4, 5))
    for _ in range(30):
        weight.grad = torch.randn(3, 4, 5, dtype=torch.float64, generator=draw)
        for t in range(3):
            mean[t] = momentum[t] * mean[t] + weight.grad.numpy()[t]
            expected[t] -= lr[t] * np.sign(mean[t])
        optimizer.step()
        np.testing.assert_allclose(weight.detach().numpy(), expected, rtol=0, atol=1e-12)
    with pytest.raises(ValueError, match=r"optimizer.clip=1.0 must be declared under metaparameters"):
        Signum([[weight]], constant, lr=lr, momentum=momentum, clip=1.0)


def test_a_study_of_it_is_trained_and_pruned(lab: Path, history: History) -> None:
    typed = [f"workload={WORKLOAD}", "sparsity=0.9", "trial=[0,1]", "optimizer.lr=[0.01,1e-9]", "batch_size=16"]
    typed += ["stack.trials_per_slice=1", "stack.examples_per_pass=16", "stack.products=false", "race=false"]
    done = dps(lab, f"--config-dir={lab}", *typed, "goal.error=0.5", "max_steps=96", "hydra.run.dir=found")
    assert (done.code, done.stderr) == (0, "")
    found = records.read(lab / "found").set_index("trial")
    assert found["status"].to_dict() == {0: "complete", 1: "incomplete"} and found["decay_steps"].tolist() == [100, 100]
    names = ["dataset", "model", "optimizer", "lr_schedule", "pruning"]
    assert found.loc[0, names].tolist() == ["pixels", "perceptron", "signum", "inverse_sqrt", "gradient"]
    weights = {trial: [step[trial][0] for step in history if trial in step] for trial in (0, 1)}
    for own in weights.values():
        assert all(torch.equal(now == 0, own[0] == 0) for now in own)
    assert not torch.equal(weights[0][-1], weights[0][0])


@pytest.mark.slow
def test_the_commands_of_the_page_search_a_grid_and_report_on_it(lab: Path) -> None:
    sweep, report = re.findall(r"^    (dps.*)$", SECTION, re.MULTILINE)
    done = process(lab.parent, *sweep.split()[1:])
    assert (done.code, done.stderr) == (0, "") and "4 studies in " in done.stdout
    assert report == f"dps-report outputs/{WORKLOAD}"
    results = gather([lab.parent / "outputs" / WORKLOAD])
    found = results.studies.set_index(["batch_size", "sparsity"])["steps_to_result"].astype(int)
    assert found.to_dict() == pytest.approx({(16, 0): 80, (16, 0.9): 160, (64, 0): 48, (64, 0.9): 144}, rel=0.5)
    assert results.trials["decay_steps"].between(10, 1000).all() and results.trials["decay_steps"].nunique() == 8
