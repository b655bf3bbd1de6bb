"""How trials end: the protocol's decision at a check, and the account of where the seconds went."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

STATUSES = ("complete", "incomplete", "infeasible", "censored")


@dataclass
class Outcome:
    """How a trial ended, its status one of STATUSES; errors are fractions, None where unknown."""

    status: str
    steps_run: int
    steps_to_result: int | None = None
    validation_error: float | None = None
    test_error: float | None = None
    train_seconds: float | None = None
    evaluate_seconds: float | None = None


def endings(
    finite: Mapping[int, bool],
    reached: Iterable[int],
    finished_before: int,
    finishers: int | None,
    budget_spent: bool,
) -> dict[int, str]:
    """The status of each running trial that ends at this step; a trial that runs on is not in it.

    `finite` says of every running trial whether its loss, logits and weights have stayed finite; `reached` are the
    trials whose check came down to the goal. A trial that is not finite is infeasible, also at the goal. In a race,
    trials that run on are censored as soon as `finishers` trials of the study have completed, now, before or in another
    job (`finished_before`): none of them can be among the first any more. Without a race (None), and before it is
    decided, a spent budget leaves them incomplete.
    """
    found = {trial: "infeasible" for trial, is_finite in finite.items() if not is_finite}
    found |= {trial: "complete" for trial in reached if trial not in found}
    finished = finished_before + sum(status == "complete" for status in found.values())
    is_decided = finishers is not None and finished >= finishers
    rest = "censored" if is_decided else "incomplete" if budget_spent else None
    return found if rest is None else found | {trial: rest for trial in finite if trial not in found}


@dataclass
class Seconds:
    """The seconds each trial has cost: an equal share of every stretch of time in which it ran.

    `spent` holds by trial what training and what evaluation took.
    """

    since: float
    spent: dict[int, list[float]] = field(default_factory=dict)

    def train(self, trials: Iterable[int], now: float) -> None:
        """The time since the last call went to training these trials."""
        self._charge(list(trials), now, 0)

    def evaluate(self, trials: Iterable[int], now: float) -> None:
        """The time since the last call went to evaluating these trials."""
        self._charge(list(trials), now, 1)

    def _charge(self, trials: list[int], now: float, account: int) -> None:
        for trial in trials:
            self.spent.setdefault(trial, [0.0, 0.0])[account] += (now - self.since) / len(trials)
        self.since = now
