"""Checks every trial against the goal at regular steps, and ends the trials, or the whole race, that are decided."""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning import Callback
from torch import Tensor

from dps.engine.module import StudyTask
from dps.protocol.goal import GoalCheck, Outcome, Verdict
from dps.storage.records import SharedBound


class Goal(Callback):
    """Compares each trial's error on the entire validation set with `error` every `interval_steps` steps.

    error <= goal makes a trial complete; a loss, logits or weights that are not finite, infeasible; the budget of
    steps spent, incomplete. With `race`, the first step at which any trial of the study completes ends the others as
    censored: none of them can be the first any more. `early_reject` lets a check stop as soon as it is certain to fail.
    """

    def __init__(
        self,
        error: float,
        interval_steps: int,
        race: bool,
        early_reject: bool,
        examples_per_block: int,
        folder: str,
    ):
        self.error, self.interval_steps, self.race = error, interval_steps, race
        self.early_reject, self.examples_per_block = early_reject, examples_per_block
        self.bound = SharedBound(Path(folder))
        self.verdicts: dict[int, Verdict] = {}
        self.seconds: dict[int, list[float]] = {}
        self.failed_checks, self.examples_read_by_failed_checks = 0, 0
        self._restored: dict[str, Any] = {}

    def on_fit_start(self, trainer: pl.Trainer, task: StudyTask) -> None:  # type: ignore[override]
        """Prepare the check, with what a resumed run had learnt of the examples."""
        examples = len(task.data.validation_labels)
        self.check = GoalCheck(self.error, examples, self.examples_per_block, self.early_reject, task.device)
        if self._restored:
            self.check.difficulty.copy_(self._restored["difficulty"])
        self._clock = time.perf_counter()

    def on_train_batch_end(self, trainer: pl.Trainer, task: StudyTask, *_: Any) -> None:  # type: ignore[override]
        """Check the goal where the step is a multiple of the interval; end what is left when the budget is spent."""
        step, budget_spent = trainer.global_step, trainer.global_step == trainer.max_steps
        due = step % self.interval_steps == 0
        if not due and not budget_spent:
            return
        running, finite = task.trials.running(), task.trials.finite()
        self._charge(running, 0)
        healthy = {trial: row for trial, row in running.items() if finite[row]}
        self.verdicts = self._verdicts(task, healthy) if due else {}
        outcomes = {trial: Outcome("infeasible", step) for trial in running if trial not in healthy}
        outcomes |= self._reached(task, running, step)
        left = self._status_of_the_rest(trainer, step, outcomes)
        if left is not None:
            rest = {trial: row for trial, row in running.items() if trial not in outcomes}
            outcomes |= self._unfinished(task, rest, left, step)
        self._log(trainer, task, running)
        self._charge(running, 1)
        for trial, outcome in outcomes.items():
            outcome.train_seconds, outcome.evaluate_seconds = self.seconds.pop(trial)
        task.finish(outcomes)
        trainer.should_stop = not task.trials.running()

    def _verdicts(self, task: StudyTask, rows: Mapping[int, int]) -> dict[int, Verdict]:
        found = self.check(_on_validation_set(task), list(rows.values()))
        failed = [verdict for verdict in found.values() if not verdict.reached]
        self.failed_checks += len(failed)
        self.examples_read_by_failed_checks += sum(verdict.examples_read for verdict in failed)
        return {trial: found[row] for trial, row in rows.items()}

    def _reached(self, task: StudyTask, running: Mapping[int, int], step: int) -> dict[int, Outcome]:
        outcomes = {}
        for trial, verdict in self.verdicts.items():
            if verdict.reached and not verdict.finite:
                outcomes[trial] = Outcome("infeasible", step)
            elif verdict.reached:
                test_error = self._test_error(task, running[trial])
                outcomes[trial] = Outcome("complete", step, step, verdict.error, test_error)
        return outcomes

    def _status_of_the_rest(self, trainer: pl.Trainer, step: int, outcomes: Mapping[int, Outcome]) -> str | None:
        if self.race:
            bound = trainer.strategy.broadcast(self.bound())
            complete = any(outcome.status == "complete" for outcome in outcomes.values())
            if complete or (bound is not None and bound <= step):
                return "censored"
        return "incomplete" if step == trainer.max_steps else None

    def _unfinished(self, task: StudyTask, rest: Mapping[int, int], status: str, step: int) -> dict[int, Outcome]:
        if not rest:
            return {}
        wrong = self.check.count(_on_validation_set(task), list(rest.values()))
        examples = len(task.data.validation_labels)
        return {
            trial: Outcome(status, step, validation_error=mistakes / examples)
            for trial, mistakes in zip(rest, wrong, strict=True)
        }

    def _test_error(self, task: StudyTask, row: int) -> float:
        images, labels = task.data.test_images, task.data.test_labels
        blocks = zip(images.split(self.examples_per_block), labels.split(self.examples_per_block), strict=True)
        return sum(int(task.mistakes([row], *block)[0].sum()) for block in blocks) / len(labels)

    def _charge(self, trials: Mapping[int, int], account: int) -> None:
        """Share the seconds since the last call equally: account 0 is training, 1 evaluation."""
        now = time.perf_counter()
        for trial in trials:
            self.seconds.setdefault(trial, [0.0, 0.0])[account] += (now - self._clock) / len(trials)
        self._clock = now

    def _log(self, trainer: pl.Trainer, task: StudyTask, running: Mapping[int, int]) -> None:
        """Each trial's curves; the error of a check that did not read every example is a lower bound, and called so."""
        if not trainer.loggers:
            return
        examples = len(task.data.validation_labels)
        losses = task.losses.tolist()
        metrics = {f"train_loss/trial={trial}": losses[row] for trial, row in running.items()}
        for trial, verdict in self.verdicts.items():
            name = "validation_error" if verdict.examples_read == examples else "validation_error_lower_bound"
            metrics[f"{name}/trial={trial}"] = verdict.wrong / examples
        for logger in trainer.loggers:
            logger.log_metrics(metrics, step=trainer.global_step)

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run goes on from."""
        return {
            "seconds": self.seconds,
            "difficulty": self.check.difficulty,
            "failed_checks": self.failed_checks,
            "examples_read_by_failed_checks": self.examples_read_by_failed_checks,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up a saved state; the order of the examples waits for on_fit_start."""
        self._restored = state_dict
        self.seconds = {trial: list(seconds) for trial, seconds in state_dict["seconds"].items()}
        self.failed_checks = state_dict["failed_checks"]
        self.examples_read_by_failed_checks = state_dict["examples_read_by_failed_checks"]


def _on_validation_set(task: StudyTask) -> Callable[[Sequence[int], Tensor], tuple[Tensor, Tensor]]:
    images, labels = task.data.validation_images, task.data.validation_labels
    return lambda rows, indices: task.mistakes(rows, images[indices], labels[indices])
