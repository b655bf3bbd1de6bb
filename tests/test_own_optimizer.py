"""The optimizer that docs/extending.md shows: its files as they stand there, outside the package."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from command import dps
from torch import Tensor, nn

from dps.stack.optimizer import StackOptimizer
from dps.stack.schedules import constant
from dps.storage import records

PAGE = Path(__file__).parents[1] / "docs" / "extending.md"
History = list[dict[int, list[Tensor]]]  # the fixture `history`


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the two files, on the import path."""
    section = PAGE.read_text().partition("\n## An optimizer\n")[2].partition("\n## ")[0]
    files = re.findall(r"^`([\w/.]+)`, [^\n]*\n\n```\w+\n(.*?)```", section, re.MULTILINE | re.DOTALL)
    assert [name for name, _ in files] == ["lab/my_optimizers.py", "lab/optimizer/lion.yaml"]
    for name, text in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(tmp_path / "lab")
    return tmp_path / "lab"


def test_it_takes_less_than_20_lines_and_moves_every_trial_by_its_own_values(lab: Path) -> None:
    assert len((lab / "my_optimizers.py").read_text().splitlines()) < 20
    from my_optimizers import Lion  # type: ignore[import-not-found]

    lr, beta1, beta2 = [0.1, 0.02, 0.3], [0.9, 0.5, 0.0], [0.99, 0.9, 0.5]
    draw = torch.Generator().manual_seed(0)
    weight = nn.Parameter(torch.randn(3, 4, 5, dtype=torch.float64, generator=draw))
    optimizer: StackOptimizer = Lion([[weight]], lr, beta1, beta2, constant)
    expected, mean = weight.detach().numpy().copy(), np.zeros((3, 4, 5))
    for _ in range(30):
        weight.grad = torch.randn(3, 4, 5, dtype=torch.float64, generator=draw)
        gradient = weight.grad.numpy().copy()
        for t in range(3):
            expected[t] -= lr[t] * np.sign(beta1[t] * mean[t] + (1 - beta1[t]) * gradient[t])
            mean[t] = beta2[t] * mean[t] + (1 - beta2[t]) * gradient[t]
        optimizer.step()
        np.testing.assert_allclose(weight.detach().numpy(), expected, rtol=0, atol=1e-12)


@pytest.mark.slow
def test_a_study_is_trained_by_it(lab: Path, history: History) -> None:
    typed = ["optimizer=lion", "sparsity=0.9", "trial=[0,1]", "optimizer.lr=[0.001,1e-9]", "batch_size=16"]
    typed += ["stack.trials_per_slice=1", "stack.examples_per_pass=16", "stack.products=false", "race=false"]
    done = dps(lab, f"--config-dir={lab}", *typed, "goal.error=0.5", "max_steps=96", "hydra.run.dir=found")
    assert (done.code, done.stderr) == (0, "")
    found = records.read(lab / "found").set_index("trial")
    assert found["status"].to_dict() == {0: "complete", 1: "incomplete"} and found["beta2"].tolist() == [0.99, 0.99]
    weights = {trial: [step[trial][0] for step in history if trial in step] for trial in (0, 1)}
    for own in weights.values():
        assert all(torch.equal(now == 0, own[0] == 0) for now in own)
    assert not torch.equal(weights[0][-1], weights[0][0])
