"""Weights & Biases of a study: a run for each trial, with its curves while it trains, and its row of trials.csv."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Collection, Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from lightning_fabric.loggers.logger import rank_zero_experiment
from omegaconf import OmegaConf
from pytorch_lightning.loggers import Logger
from pytorch_lightning.utilities import rank_zero_only

from dps.engine import wandb_run
from dps.engine.study import Study, Trial
from dps.protocol.outcome import Outcome
from dps.storage import configurations, environments, ownership, records, run_ids
from dps.storage.run_ids import LoggedRun

if TYPE_CHECKING:
    from wandb import Run

log = logging.getLogger(__name__)
OUTCOME = [field.name for field in fields(Outcome)]


class WandbTrials(Logger):
    """Gives every trial's metrics, which end in /trial=NUMBER, to a run of its own, under keys without the number.

    `settings` are those of `wandb.Settings`. A run ends when its trial does: its summary has how.
    """

    def __init__(self, study: Study, project: str, save_dir: str, settings: Mapping[str, Any]):
        self._study, self._project, self._save_dir, self._settings = study, project, save_dir, dict(settings)
        self._runs: dict[int, Run] | None = None

    @property
    def name(self) -> str:
        """The project."""
        return self._project

    @property
    def version(self) -> str:
        """The study, which is the group of its runs."""
        return _title(self._study)

    @property
    def save_dir(self) -> str:
        """Where runs are kept."""
        return self._save_dir

    @property
    @rank_zero_experiment
    def experiment(self) -> dict[int, Run]:
        """The runs that are open, by trial; Lightning asks for them before training begins."""
        if self._runs is None:
            self._runs = {}
            if not wandb_run.is_disabled():
                self._runs = self._opened()
        return self._runs

    @rank_zero_only
    def log_hyperparams(self, params: Any, *_: Any, **__: Any) -> None:
        """A run has its configuration when it is opened."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log each trial's values at this step of the study; a trial without any has ended."""
        by_trial: dict[int, dict[str, float]] = {}
        for key, value in metrics.items():
            name, _, trial = key.rpartition("/trial=")
            if name:
                by_trial.setdefault(int(trial), {})[name] = value
        if not by_trial:
            return
        if gone := self.experiment.keys() - by_trial.keys():
            self._end(gone)
        for trial in self.experiment.keys() & by_trial.keys():
            values, run = by_trial[trial], self.experiment[trial]
            if step is None or step >= run.starting_step:  # else a run that goes on has the step already
                run.log(values if step is None else {"step": step, **values}, step=step)

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """End the runs; of a trial that is not recorded, as one that was stopped."""
        self._end(list(self._runs or ()))
        stopped, self._runs = self._runs or {}, {}
        for run in stopped.values():
            run.summary["status"] = "stopped"
        wandb_run.ended(list(stopped.values()), exit_code=1)

    def _end(self, trials: Collection[int]) -> None:
        """End the runs of those trials that are recorded, with what is recorded."""
        rows = records.read(self._study.folder).set_index("trial")[OUTCOME]
        over = {trial: self.experiment.pop(trial) for trial in trials if trial in rows.index}
        for trial, run in over.items():
            run.summary.update(rows.loc[trial].dropna().to_dict())
        wandb_run.ended(list(over.values()), exit_code=0)

    def _opened(self) -> dict[int, Run]:
        study = self._study
        trials = study.missing()
        known, identity = run_ids.read(study.folder), _identity(study)
        new = {str(trial["trial"]): LoggedRun(_digest(f"{identity} {trial['trial']}"), "") for trial in trials}
        ids = {trial: known.get(trial, run).run_id for trial, run in new.items()}
        shared = {
            "project": self._project,
            "dir": self._save_dir,
            "group": f"{_title(study)} {identity[:6]}",
            "job_type": study.cfg.workload,
            "tags": _tags(study),
        }
        every = _configuration(study)
        wanted = [
            {
                **shared,
                "id": ids[str(trial["trial"])],
                "name": f"{_title(study)} trial {trial['trial']}",
                "config": {**every, **_own(study, trial)},
            }
            for trial in trials
        ]
        runs = wandb_run.opened(self._settings, wanted)
        if runs and not runs[0].offline:
            log.info("Weights & Biases: %s", runs[0].project_url)
        run_ids.note(study.folder, {trial: wandb_run.logged(run) for trial, run in zip(ids, runs, strict=True)})
        return {trial["trial"]: run for trial, run in zip(trials, runs, strict=True)}


def _identity(study: Study) -> str:
    """Of the study: its configuration, and when its folder was claimed, which a repetition in a new folder was not."""
    path = study.folder / configurations.FILE
    return _digest(f"{path.stat().st_mtime_ns} {path.read_text()}")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _title(study: Study) -> str:
    cfg = study.cfg
    network = f"{100 * cfg.sparsity:g}%" if cfg.sparsity else "dense"
    replicate = f" replicate {cfg.replicate}" if cfg.replicate else ""
    return f"{cfg.workload} B={cfg.batch_size} {network}{replicate}"


def _tags(study: Study) -> list[str]:
    cfg, names = study.cfg, study.cfg.names
    criterion = names.pruning if cfg.sparsity else "unpruned"
    tags = [names.dataset, names.model, names.optimizer, criterion, f"B={cfg.batch_size}", f"sparsity={cfg.sparsity:g}"]
    return list(dict.fromkeys(str(tag)[: wandb_run.LONGEST_TAG] for tag in tags))


def _configuration(study: Study) -> dict[str, Any]:
    """What the study's trials share, by dotted key; not the loggers' own, where a key to the server may stand."""
    resolved: Any = OmegaConf.to_container(study.cfg, resolve=True)
    every = dict(ownership.flat(resolved))
    where = environments.read(study.folder)[-1:]
    return {
        **{key: value for key, value in every.items() if not key.startswith("logger.")},
        **{f"environment.{name}": value for one in where for name, value in one.items()},
    }


def _own(study: Study, trial: Trial) -> dict[str, Any]:
    """A trial's metaparameters, by name and in place of the lists of all trials, its number and its seed."""
    return {**trial, **{one.option: trial[one.name] for one in study.metaparameters}}
