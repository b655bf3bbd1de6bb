"""Where this process trains: versions, device, threads and precision."""

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch


def environment(trainer: pl.Trainer) -> dict[str, Any]:
    """What a result may depend on beside its configuration."""
    device: torch.device = trainer.strategy.root_device
    backends: Any = torch.backends
    on_gpu = device.type == "cuda"
    products = backends.cuda.matmul if on_gpu else backends.mkldnn.matmul
    convolutions = backends.cudnn.conv if on_gpu else backends.mkldnn.conv
    return {
        "dps": version("dps"),
        "commit": _commit(),
        "python": platform.python_version(),
        **{name.replace("-", "_"): version(name) for name in ("torch", "torchvision", "pytorch-lightning", "numpy")},
        "system": f"{platform.system()} {platform.machine()}",
        "device": torch.cuda.get_device_name(device) if on_gpu else _processor(),
        "devices": trainer.world_size,
        "threads": torch.get_num_threads(),
        "precision": str(trainer.precision),
        "float32_matrix_products": products.fp32_precision,
        "float32_convolutions": convolutions.fp32_precision,
    }


def _commit() -> str | None:
    """The checkout's commit, with a + where files have changed since; None where dps runs from no checkout."""
    root = Path(__file__).parents[2]
    if not (root / ".git").exists():
        return None
    try:
        commit, changes = (_git(root, *what) for what in (("rev-parse", "HEAD"), ("status", "--porcelain", "-uno")))
    except (OSError, subprocess.SubprocessError):
        return None
    return commit[:12] + ("+" if changes else "")


def _git(root: Path, *arguments: str) -> str:
    environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0"}  # a look must not disturb work in the checkout
    command = ["git", "-C", str(root), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10, env=environment)
    return done.stdout.strip()


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
