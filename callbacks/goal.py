"""Checks every trial against the goal at regular steps, and ends the trials, or the whole race, that are decided."""

import logging
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning import Callback
from torch import Tensor

from dps.engine.module import Check, StudyTask
from dps.protocol.goal import GoalCheck, Verdict
from dps.protocol.outcome import Outcome, Seconds, endings
from dps.storage.records import Finishers

log = logging.getLogger(__name__)

Verdicts = Mapping[int, Verdict]


class Goal(Callback):
    """Compares each trial's error on the entire validation set with the study's goal, and ends trials as it decides.

    What ends a trial, and how, is said by dps.protocol.outcome.endings; the goal, its interval, the race and the budget
    of steps are the study's.
    """

    def __init__(self) -> None:
        self._restored: dict[str, Any] = {}

    def on_fit_start(self, trainer: pl.Trainer, task: StudyTask) -> None:  # type: ignore[override]
        """Prepare the check, with what a resumed run had learnt of the examples; warn where there will be none."""
        goal, examples = task.study.cfg.goal, len(task.data.validation_labels)
        if goal.interval_steps > (steps := task.study.cfg.max_steps) and trainer.is_global_zero:
            never = "the goal is never checked, and so not reached: goal.interval_steps=%s is more than max_steps=%s"
            log.warning(never, goal.interval_steps, steps)
        self.check = GoalCheck(goal.error, examples, goal.examples_per_block, goal.early_reject, task.device)
        self.finishers = Finishers(task.study.folder)
        self._stack = task.stack
        self.seconds = Seconds(time.perf_counter())
        self.least_errors: dict[int, float] = dict(self._restored.get("least_errors", {}))
        if self._restored:
            self.check.difficulty.copy_(self._restored["difficulty"])
            self.seconds.spent = {trial: list(spent) for trial, spent in self._restored["seconds"].items()}

    def on_train_batch_end(self, trainer: pl.Trainer, task: StudyTask, *_: Any) -> None:  # type: ignore[override]
        """Check the goal where the step is a multiple of the interval; end what is left when the budget is spent."""
        step, budget_spent = trainer.global_step, trainer.global_step == task.study.cfg.max_steps
        due = step % task.study.cfg.goal.interval_steps == 0
        if not due and not budget_spent:
            return
        rows, is_finite = task.stack.running(), task.finite()
        self.seconds.train(rows, time.perf_counter())
        finite = {trial: is_finite[row] for trial, row in rows.items()}
        verdicts = self.verdicts(task, [trial for trial in rows if finite[trial]]) if due else {}
        reached = [trial for trial, verdict in verdicts.items() if verdict.reached]
        finite |= {trial: verdicts[trial].finite for trial in reached}
        before = self._finished_before(trainer, task, step)
        ended = endings(finite, reached, before, task.study.finishers, budget_spent)
        statuses = trainer.strategy.broadcast(ended)  # ranks go on alike, should rounding ever tell them apart
        outcomes = self._outcomes(task, statuses, verdicts, step)
        self._learn(verdicts, outcomes)
        self._log(trainer, task, verdicts)
        self.seconds.evaluate(rows, time.perf_counter())
        for trial, outcome in outcomes.items():
            outcome.train_seconds, outcome.evaluate_seconds = self.seconds.spent.pop(trial)
        task.finish(outcomes)
        task.doing = self._news(task, verdicts)
        trainer.should_stop = not task.stack.running()

    def verdicts(self, task: StudyTask, trials: Sequence[int]) -> dict[int, Verdict]:
        """What this check finds of each of the trials: the place for another rule of when the goal is reached."""
        start, rows = time.perf_counter(), task.stack.running()
        found = self.check(_on_validation_set(task), [rows[trial] for trial in trials])
        if found:
            read = statistics.mean(verdict.examples_read for verdict in found.values())
            failed = [verdict.examples_read for verdict in found.values() if not verdict.reached]
            task.checks.append(Check(len(found), time.perf_counter() - start, read, len(failed), sum(failed)))
        return {trial: found[rows[trial]] for trial in trials}

    def _finished_before(self, trainer: pl.Trainer, task: StudyTask, step: int) -> int:
        """How many trials of the study, in all its jobs, are recorded to have reached the goal by this step.

        A resumed run may have trials in the stack whose end is recorded already: those are not counted.
        """
        if task.study.finishers is None:
            return 0
        return int(trainer.strategy.broadcast(len(self.finishers(step) - task.stack.running().keys())))

    def _outcomes(
        self, task: StudyTask, statuses: Mapping[int, str], verdicts: Verdicts, step: int
    ) -> dict[int, Outcome]:
        """How trials ended, with the errors that are known: of a completed trial also that on the test set."""
        rows = task.stack.running()
        unfinished = [trial for trial, status in statuses.items() if status in ("incomplete", "censored")]
        wrong = self.check.count(_on_validation_set(task), [rows[trial] for trial in unfinished]) if unfinished else []
        errors = {
            trial: count / len(task.data.validation_labels) for trial, count in zip(unfinished, wrong, strict=True)
        }
        outcomes = {}
        for trial, status in statuses.items():
            outcomes[trial] = Outcome(status, step, validation_error=errors.get(trial))
            if status == "complete":
                test_error = self._test_error(task, rows[trial])
                outcomes[trial] = Outcome(status, step, step, verdicts[trial].error, test_error)
        return outcomes

    def _test_error(self, task: StudyTask, row: int) -> float:
        images, labels, size = task.data.test_images, task.data.test_labels, task.study.cfg.goal.examples_per_block
        blocks = zip(images.split(size), labels.split(size), strict=True)
        return sum(int(task.mistakes([row], *block)[0].sum()) for block in blocks) / len(labels)

    def _learn(self, verdicts: Verdicts, outcomes: Mapping[int, Outcome]) -> None:
        """Keep each trial's least error on the entire validation set, of the checks that read all of it."""
        examples = len(self.check.difficulty)
        known = {trial: verdict.error for trial, verdict in verdicts.items() if verdict.examples_read == examples}
        known |= {trial: end.validation_error for trial, end in outcomes.items() if end.validation_error is not None}
        for trial, error in known.items():
            self.least_errors[trial] = min(error, self.least_errors.get(trial, error))

    def _news(self, task: StudyTask, verdicts: Verdicts) -> str:
        """Of all trials, how far the best came: most examples read before the goal was out of reach, or least error."""
        failed = [verdict for verdict in verdicts.values() if not verdict.reached]
        if not failed:
            return ""
        best = max(failed, key=lambda verdict: (verdict.examples_read, -verdict.wrong))
        examples = len(task.data.validation_labels)
        if best.examples_read < examples:
            return f"missed at {best.examples_read}/{examples}"
        return f"error {best.error:.1%} > goal {task.study.cfg.goal.error:.1%}"

    def _log(self, trainer: pl.Trainer, task: StudyTask, verdicts: Verdicts) -> None:
        """Each trial's curves; the error of a check that did not read every example is a lower bound, and called so."""
        if not trainer.loggers:
            return
        examples = len(task.data.validation_labels)
        losses = task.losses.tolist()
        metrics = {f"train_loss/trial={trial}": losses[row] for trial, row in task.stack.running().items()}
        for trial, verdict in verdicts.items():
            name = "validation_error" if verdict.examples_read == examples else "validation_error_lower_bound"
            metrics[f"{name}/trial={trial}"] = verdict.wrong / examples
        for trial in task.stack.running().keys() & self.least_errors.keys():
            metrics[f"best_validation_error/trial={trial}"] = self.least_errors[trial]
        for logger in trainer.loggers:
            logger.log_metrics(metrics, step=trainer.global_step)

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run goes on from; the seconds since the last check are charged to the trials that run."""
        self.seconds.train(self._stack.running(), time.perf_counter())
        return {
            "seconds": self.seconds.spent,
            "difficulty": self.check.difficulty,
            "least_errors": self.least_errors,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up a saved state, which waits for on_fit_start."""
        self._restored = state_dict


def _on_validation_set(task: StudyTask) -> Callable[[Sequence[int], Tensor], tuple[Tensor, Tensor]]:
    images, labels = task.data.validation_images, task.data.validation_labels
    return lambda rows, indices: task.mistakes(rows, images[indices], labels[indices])
