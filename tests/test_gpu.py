"""On a CUDA device: the answers of a CPU, bits that hang on no neighbour, and no waiting between checks."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from command import dps, rows, study
from networks import RESNET8, SIMPLE_CNN, Batch, Network, Training, assert_close, assert_equal

from dps.engine.module import StudyTask

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]
DEVICE = "cuda"
MIXED = ["trial=[0,1,2,3]", "optimizer.lr=[1e9,0.02,0.002,1e-6]", "batch_size=8", "max_steps=96", "goal.error=0.3"]


def moved(batches: list[Batch]) -> list[Batch]:
    return [(images.to(DEVICE), labels.to(DEVICE)) for images, labels in batches]


@pytest.mark.parametrize("products", [False, True], ids=["grouped", "products"])
@pytest.mark.parametrize("network", [SIMPLE_CNN, RESNET8], ids=["simple_cnn", "resnet8"])
def test_a_trajectory_is_that_of_a_cpu(network: Network, products: bool) -> None:
    network, batches = replace(network, products=products), network.batches(100, 2)
    masks = network.random_masks(range(3), 0.9)
    here, there = (Training(network, range(3), 3, masks=masks, device=device) for device in ("cpu", DEVICE))
    for batch, same in zip(batches, moved(batches), strict=True):
        here.step(batch)
        there.step(same)
    for seed in range(3):
        assert_close(here.weights(seed), [values.cpu() for values in there.weights(seed)])


@pytest.mark.parametrize("products", [False, True], ids=["grouped", "products"])
def test_neighbours_change_no_bit(products: bool) -> None:
    network = replace(SIMPLE_CNN, products=products)
    runs = [Training(network, seeds, 3, dtype=torch.float32, device=DEVICE) for seeds in ([0, 1, 2], [7, 8, 9, 2])]
    for batch in moved(network.batches(200, 8, torch.float32)):
        for run in runs:
            run.step(batch)
    assert_equal(runs[0].weights(2), runs[1].weights(2))


@pytest.mark.parametrize("sparsity", ["0", "0.9"])
@pytest.mark.parametrize("race", ["true", "false"])
def test_a_study_has_the_answers_of_a_cpu(tmp_path: Path, race: str, sparsity: str) -> None:
    found = []
    for trainer in ("cpu", "gpu"):
        typed = [*MIXED, f"race={race}", f"sparsity={sparsity}", f"trainer={trainer}", "trainer.precision=64-true"]
        (tmp_path / trainer).mkdir()
        assert dps(tmp_path / trainer, *typed).code == 0
        found.append(rows(study(tmp_path / trainer, 8, sparsity))[["status", "steps_to_result"]])
    assert found[0].equals(found[1])


@pytest.mark.filterwarnings("ignore:Synchronization debug mode is a prototype")
def test_no_step_between_two_checks_waits_for_the_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    training_step = StudyTask.training_step

    def watched(task: StudyTask, *arguments: Any) -> None:
        torch.cuda.set_sync_debug_mode("error")
        try:
            training_step(task, *arguments)
        finally:
            torch.cuda.set_sync_debug_mode("default")

    monkeypatch.setattr(StudyTask, "training_step", watched)
    done = dps(tmp_path, *MIXED, "sparsity=0.9", "trainer=gpu")
    assert done.code == 0, done.stderr
