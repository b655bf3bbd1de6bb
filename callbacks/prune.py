"""Prunes every trial at initialisation."""

import logging
from collections.abc import Iterable
from functools import partial

import pytorch_lightning as pl
import torch
from pytorch_lightning import Callback
from rich.console import Console
from rich.progress import track

from dps.engine.module import StudyTask
from dps.models.gradients import Weights
from dps.pruning.pruning import emptied_layers, masks
from dps.storage import cache

log = logging.getLogger(__name__)


class Prune(Callback):
    """Masks every trial by a criterion's scores, so that round(P * (1 - sparsity)) of its P parameters take part.

    Scores that read the training set are the same at every batch size and sparsity: `cached` keeps them on disk, one
    file a trial, named by the content they follow from. They are computed for one trial at a time, so that they do not
    depend on which others the cache already has.
    """

    def __init__(self, criterion: "partial[Weights]", sparsity: float, cached: bool = False):
        self.criterion, self.sparsity, self.cached = criterion, sparsity, cached
        self.name = criterion.func.__name__

    def on_fit_start(self, trainer: pl.Trainer, task: StudyTask) -> None:  # type: ignore[override]
        """Prune, unless the study is dense, or resumed with the masks of its checkpoint."""
        if self.sparsity == 0 or trainer.ckpt_path is not None:
            return
        data_key = cache.digest(task.data.train_images, task.data.train_labels) if self.cached else ""
        kept = {}
        for number, (trial, weights) in enumerate(task.trials.weights_by_trial().items(), start=1):
            title = f"{self.name} scores, trial {number} of {len(task.metaparameters)}"
            kept[trial] = masks(self._scores(task, trial, weights, data_key, title), self.sparsity)
            for layer in emptied_layers(kept[trial]):
                log.warning("sparsity=%s leaves no weight in layer %s of trial %d", self.sparsity, layer, trial)
        task.trials.prune(kept)

    def _scores(self, task: StudyTask, trial: int, weights: Weights, data_key: str, title: str) -> Weights:
        model, data = task.trials.model, task.data
        named = [part for name, values in weights.items() for part in (name, values)]
        key = cache.digest(self.name, str(self.criterion.keywords), type(model).__name__, data_key, *named)
        path = cache.folder() / "scores" / key
        found = cache.load(path) if self.cached else None
        if found is not None and found.keys() == weights.keys():
            return {name: torch.from_numpy(found[name]).to(task.device) for name in weights}

        def progress(passes: Iterable[int]) -> Iterable[int]:
            console = Console(stderr=True)
            return track(list(passes), title, console=console, transient=True, disable=not console.is_terminal)

        scores = self.criterion(model, weights, data.train_images, data.train_labels, trial, progress=progress)
        if self.cached:
            cache.save(path, {name: values.cpu().numpy() for name, values in scores.items()})
        return scores
