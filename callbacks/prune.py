"""Prunes every trial at initialisation."""

import logging
import math
from collections.abc import Iterable
from functools import partial
from typing import Any

import pytorch_lightning as pl
import torch
from hydra.utils import get_object
from omegaconf import OmegaConf
from pytorch_lightning import Callback
from rich.console import Console
from rich.progress import track

from dps.engine.module import StudyTask
from dps.models import Weights
from dps.pruning import Unpruned, emptied_layers, masks, refusal
from dps.storage import cache
from dps.storage.source import source

log = logging.getLogger(__name__)
VERSION = "2"  # of what the names of kept scores are made of


class Prune(Callback):
    """Masks every trial by a criterion's scores, so that round(P * (1 - sparsity)) of its P parameters take part.

    Scores that read the training set are the same at every batch size and sparsity: `cached` keeps them on disk, one
    file a trial, named by all that they follow from. They are computed for one trial at a time, so that they do not
    depend on which others the cache already has.
    """

    def __init__(self, criterion: "partial[Weights]", cached: bool = False):
        self.criterion, self.cached = criterion, cached
        self.name = criterion.func.__name__

    def on_fit_start(self, trainer: pl.Trainer, task: StudyTask) -> None:  # type: ignore[override]
        """Prune, unless the study is dense, or resumed with the masks of its checkpoint."""
        sparsity = task.study.cfg.sparsity
        if sparsity == 0 or trainer.ckpt_path is not None:
            return
        key, kept = self._key(task) if self.cached else "", {}
        seeds = {trial["trial"]: trial["seed"] for trial in task.trials}
        for number, (trial, weights) in enumerate(task.stack.weights_by_trial().items(), start=1):
            title = f"{self.name} scores, trial {number} of {len(task.trials)}"
            kept[trial] = masks(self._scores(task, seeds[trial], weights, key, title), sparsity)
        emptied = [(layer, trial) for trial, one in kept.items() for layer in emptied_layers(one)]
        for layer in dict.fromkeys(layer for layer, _ in emptied):
            trials = ", ".join(str(trial) for other, trial in emptied if other == layer)
            log.warning("sparsity=%s leaves no weight in layer %s of these trials: %s", sparsity, layer, trials)
        task.stack.prune(kept)

    def on_train_batch_end(  # type: ignore[override]
        self, trainer: pl.Trainer, task: StudyTask, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Refuse an optimizer whose first step brings pruned weights back."""
        if batch_idx == 0 and any(part.has_moved_pruned() for part in task.stack.slices):
            name = type(task.optimizer).__name__
            raise ValueError(f"optimizer: {name}.update moves pruned weights, whose gradient is zero, away from zero")

    def _key(self, task: StudyTask) -> str:
        """All that the scores of every trial follow from: data, criterion and model, their code and the precision."""
        network = task.stack.model.module
        model = f"{OmegaConf.to_yaml(task.study.cfg.model, sort_keys=True)}\n{network!r}"
        build = get_object(task.study.cfg.model["_target_"])
        code = source(self.criterion.func, build, *{type(part) for part in network.modules()})
        constants = [buffer.cpu().numpy() for buffer in network.buffers()]
        data = (task.data.train_images.cpu().numpy(), task.data.train_labels.cpu().numpy())
        arguments = str(sorted(self.criterion.keywords.items()))
        precision = f"{task.study.cfg.trainer.precision} {task.study.cfg.precision}"
        return cache.digest(VERSION, self.name, arguments, model, code, precision, *data, *constants)

    def _scores(self, task: StudyTask, seed: int, weights: Weights, key: str, title: str) -> Weights:
        named = [part for name, values in weights.items() for part in (name, values.cpu().numpy())]
        path = cache.folder() / "scores" / cache.digest(key, *named)
        found = cache.load(path) if self.cached else None
        if found is not None:
            scores = {name: torch.from_numpy(found[name]).to(task.device) for name in weights if name in found}
            if not refusal(scores, weights):
                return scores
            log.warning("%s does not hold the scores of these weights, which are computed again", path)

        def progress(passes: Iterable[int]) -> Iterable[int]:
            console = Console(stderr=True)
            return track(list(passes), title, console=console, transient=True, disable=not console.is_terminal)

        data = (task.data.train_images, task.data.train_labels)
        sparsity = math.nan if self.cached else task.study.cfg.sparsity  # kept scores serve every sparsity
        copies = {name: values.clone() for name, values in weights.items()}  # a criterion may work in place
        scores = self.criterion(Unpruned(task.stack.model, copies, *data, seed, sparsity, progress))
        if why := refusal(scores, weights):
            raise ValueError(f"pruning by {self.name} cannot rank the weights of seed {seed}: {why}")
        if self.cached:
            cache.save(path, {name: values.cpu().numpy() for name, values in scores.items()})
        return scores
