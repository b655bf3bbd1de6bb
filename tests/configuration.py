"""Configurations of studies that tests write by hand, and how wrong ones are refused."""

from collections.abc import Callable
from typing import Any

import pytest
from omegaconf import DictConfig, OmegaConf

Composed = Callable[..., DictConfig]  # the fixture `composed`


def config(**changed: Any) -> DictConfig:
    """A study's configuration of the linear schedule; `goal__error=0.1` changes goal.error."""
    cfg = OmegaConf.create(
        {
            "workload": "w",
            "batch_size": 64,
            "sparsity": 0,
            "trial": 0,
            "max_steps": 4000,
            "race": True,
            "precision": "ieee",
            "seed": "${trial}",
            "seed_data": 0,
            "replicate": 0,
            "names": {"dataset": "d", "model": "m", "optimizer": "o", "lr_schedule": "l", "pruning": "p"},
            "folder": "f",
            "goal": {"error": 0.04, "interval_steps": 16, "examples_per_block": 64, "early_reject": True},
            "stack": {"trials_per_slice": None, "examples_per_pass": None, "products": None},
            "data": {
                "_target_": "dps.data.StudyData",
                "load": {"_target_": "dps.data.sources.digits", "_partial_": True},
                "train_examples": 1350,
                "image_shape": [1, 28, 28],
            },
            "model": {"_target_": "dps.models.SimpleCNN"},
            "optimizer": {"_target_": "dps.stack.sgd.SGD", "_partial_": True, "lr": 0.01, "momentum": 0.9},
            "lr_schedule": {
                "_target_": "dps.stack.schedules.linear",
                "_partial_": True,
                "decay_steps": 45000,
                "end_factor": 0.01,
            },
            "pruning": {
                "_target_": "callbacks.Prune",
                "criterion": {"_target_": "dps.pruning.snip", "_partial_": True},
                "cached": True,
            },
            "callbacks": {"goal": {"_target_": "callbacks.Goal"}},
            "bookkeeping": {
                "record": {"_target_": "callbacks.Record"},
                "progress": {"_target_": "callbacks.StudyProgress"},
                "checkpoint": {"_target_": "callbacks.StudyCheckpoint", "every_seconds": 60},
            },
            "trainer": {
                "_target_": "pytorch_lightning.Trainer",
                "accelerator": "cpu",
                "devices": 1,
                "precision": "32-true",
            },
        }
    )
    for key, value in changed.items():
        OmegaConf.update(cfg, key.replace("__", "."), value)
    return cfg


def refusal(by: Callable[[DictConfig], object], cfg: DictConfig) -> str:
    """The one sentence with which a configuration is refused."""
    with pytest.raises(ValueError) as caught:
        by(cfg)
    sentence = str(caught.value)
    assert len(sentence.splitlines()) == 1
    return sentence
