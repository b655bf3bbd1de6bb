"""Devices that are not there are refused by name."""

import os

import pytest
import torch
from configuration import refusal
from omegaconf import OmegaConf

from dps.engine import devices, launch


@pytest.fixture(autouse=True)
def four_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 5}, raising=False)


@pytest.mark.parametrize(
    ("accelerator", "asked", "gpus", "sentence"),
    [
        ("cpu", 4, 0, None),
        ("cpu", 5, 8, "trainer.devices=5 must be at most 4, the cores that dps may use here"),
        ("gpu", 8, 8, None),
        ("gpu", 2, 1, "trainer.devices=2 must be at most 1, the GPUs that PyTorch finds here"),
        ("gpu", 1, 0, "trainer.accelerator=gpu must be cpu, for PyTorch finds no GPU here"),
    ],
)
def test_devices(
    monkeypatch: pytest.MonkeyPatch, accelerator: str, asked: int, gpus: int, sentence: str | None
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    trainer = OmegaConf.create({"accelerator": accelerator, "devices": asked})
    if sentence is None:
        devices.check(trainer)
    else:
        assert refusal(devices.check, trainer) == sentence


@pytest.mark.parametrize(("asked", "threads"), [(2, "2"), (3, "1"), (8, "1")])
def test_ranks_share_the_cores(monkeypatch: pytest.MonkeyPatch, asked: int, threads: str) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert launch.environment(asked, 1)["OMP_NUM_THREADS"] == threads
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert launch.environment(asked, 1)["OMP_NUM_THREADS"] == "3"
