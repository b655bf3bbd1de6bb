"""The devices that there are here, which a study's ranks must not outnumber."""

import os

from omegaconf import DictConfig

from dps.protocol.values import require


def check(trainer: DictConfig) -> None:
    """ValueError that names the option where `trainer` asks for devices that this process does not have."""
    accelerator, asked = trainer.accelerator, trainer.devices
    if accelerator == "cpu":
        require(asked <= cores(), "trainer.devices", asked, f"at most {cores()}, the cores that dps may use here")
        return
    import torch

    there = torch.cuda.device_count()
    require(there > 0, "trainer.accelerator", accelerator, "cpu, for PyTorch finds no GPU here")
    require(asked <= there, "trainer.devices", asked, f"at most {there}, the GPUs that PyTorch finds here")


def gpus(accelerator: str, asked: int) -> int | None:
    """How many GPUs a job of a launcher needs: ${gpus:ACCELERATOR,DEVICES} in its configuration; None without one."""
    return asked if accelerator == "gpu" else None


def cores() -> int:
    """How many cores this process may use, at least 1."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
