"""The precision of products of float32 numbers is part of the protocol: set alike everywhere, recorded and compared."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from command import dps, study
from omegaconf import OmegaConf

from dps.engine import precision as engine_precision
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


def test_products_and_convolutions_are_the_protocols(tmp_path: Path, seen: list[tuple[str, ...]]) -> None:
    BACKENDS.fp32_precision = "tf32"  # what another program, or an earlier study, may have left
    assert dps(tmp_path, *SMALL).code == 0
    assert set(seen) == {("ieee",) * 4}
    path = study(tmp_path, 8) / ".hydra" / "environment.yaml"
    assert OmegaConf.load(path)[0].float32_convolutions == "ieee"


@pytest.mark.parametrize(("precision", "on_gpu"), [("tf32", "tf32"), ("bf16", "none")])
def test_products_and_convolutions_have_one_precision(
    tmp_path: Path,
    seen: list[tuple[str, ...]],
    monkeypatch: pytest.MonkeyPatch,
    precision: str,
    on_gpu: str,
) -> None:
    monkeypatch.setattr(engine_precision, "_drops_bits", lambda: True)  # as on a CPU that has such products
    assert dps(tmp_path, *SMALL, f"precision={precision}").code == 0
    assert set(seen) == {(precision, precision, on_gpu, on_gpu)}
    path = study(tmp_path, 8) / ".hydra" / "environment.yaml"
    assert OmegaConf.load(path)[0].float32_convolutions == precision


def test_a_cpu_that_keeps_all_bits_refuses_to_record_fewer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_precision, "_drops_bits", lambda: False)
    done = dps(tmp_path, *SMALL, "precision=tf32")
    assert done.code == 1
    assert "precision=tf32 must be ieee on this CPU" in done.stderr
    assert not (study(tmp_path, 8) / "trials.csv").exists()


def test_bits_are_dropped_where_numbers_are_rounded_first(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not engine_precision._drops_bits()
    convolution = torch.nn.functional.conv2d
    monkeypatch.setattr(torch.nn.functional, "conv2d", lambda one, other: convolution(_rounded(one), _rounded(other)))
    assert not engine_precision._drops_bits()  # only one of the two: they would not be alike
    product = torch.Tensor.__matmul__
    monkeypatch.setattr(torch.Tensor, "__matmul__", lambda one, other: product(_rounded(one), _rounded(other)))
    assert engine_precision._drops_bits()


def _rounded(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.bfloat16().float()


def test_results_of_another_precision_are_not_mixed(tmp_path: Path) -> None:
    assert dps(tmp_path, *SMALL).code == 0
    path = study(tmp_path, 8) / ".hydra" / "config.yaml"
    path.write_text(path.read_text().replace("precision: ieee\n", "precision: tf32\n", 1))
    done = dps(tmp_path, *SMALL, "trial=1")
    assert done.code == 1 and "precision is tf32 there and ieee here" in done.stderr


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
