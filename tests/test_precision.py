"""The precision of products of float32 numbers is part of the protocol: set alike everywhere, recorded and compared."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from command import dps, study
from omegaconf import OmegaConf

from dps.engine.module import StudyTask

BACKENDS: Any = torch.backends
SMALL = ["batch_size=8", "goal.error=0.3", "goal.interval_steps=4", "max_steps=4", "optimizer.lr=1e-6"]


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    before = BACKENDS.fp32_precision
    yield
    BACKENDS.fp32_precision = before


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """The precision of matrix products and convolutions, on a CPU and on a GPU, at every training step."""
    found: list[tuple[str, ...]] = []
    training_step = StudyTask.training_step

    def spy(task: StudyTask, *arguments: Any) -> None:
        owners = (BACKENDS.mkldnn.matmul, BACKENDS.mkldnn.conv, BACKENDS.cuda.matmul, BACKENDS.cudnn.conv)
        found.append(tuple(owner.fp32_precision for owner in owners))
        torch.get_float32_matmul_precision()  # Lightning asks on a GPU; raises where old and new settings contradict
        training_step(task, *arguments)

    monkeypatch.setattr(StudyTask, "training_step", spy)
    return found


@pytest.mark.parametrize(("precision", "on_gpu"), [("tf32", "tf32"), ("bf16", "none")])
def test_products_and_convolutions_have_one_precision(
    tmp_path: Path, seen: list[tuple[str, ...]], precision: str, on_gpu: str
) -> None:
    BACKENDS.fp32_precision = "tf32"  # what another program, or an earlier study, may have left
    assert dps(tmp_path, *SMALL).code == 0
    assert set(seen) == {("ieee",) * 4}
    seen.clear()
    (tmp_path / "other").mkdir()
    assert dps(tmp_path / "other", *SMALL, f"precision={precision}").code == 0
    assert set(seen) == {(precision, precision, on_gpu, on_gpu)}
    path = study(tmp_path / "other", 8) / ".hydra" / "environment.yaml"
    assert OmegaConf.load(path)[0].float32_convolutions == precision


def test_results_of_another_precision_are_not_mixed(tmp_path: Path) -> None:
    assert dps(tmp_path, *SMALL).code == 0
    done = dps(tmp_path, *SMALL, "precision=tf32", "trial=1")
    assert done.code == 1 and "precision is ieee there and tf32 here" in done.stderr


def test_a_record_from_before_precision_was_set_is_of_ieee(tmp_path: Path) -> None:
    assert dps(tmp_path, *SMALL).code == 0
    path = study(tmp_path, 8) / ".hydra" / "config.yaml"
    text = path.read_text()
    assert "precision: ieee\n" in text
    path.write_text(text.replace("precision: ieee\n", "", 1))
    assert dps(tmp_path, *SMALL, "trial=1").code == 0
    done = dps(tmp_path, *SMALL, "precision=tf32", "trial=2")
    assert done.code == 1 and "precision is ieee there and tf32 here" in done.stderr


@pytest.mark.parametrize("value", ["fp32", "high", "null"])
def test_a_precision_that_there_is_not(tmp_path: Path, value: str) -> None:
    done = dps(tmp_path, *SMALL, f"precision={value}")
    assert done.code == 1 and f"precision={value} must be ieee, tf32 or bf16" in done.stderr
