import itertools

import pytest

from dps.protocol.outcome import STATUSES, Seconds, endings


def by_hand(finite: bool, reached: bool, finished: int, finishers: int | None, spent: bool) -> str | None:
    """The protocol in words, for one trial, where `finished` trials of the study have completed by this step."""
    if not finite:
        return "infeasible"
    if reached:
        return "complete"
    if finishers is not None and finished >= finishers:
        return "censored"
    return "incomplete" if spent else None


@pytest.mark.parametrize(
    ("before", "finishers", "spent"), list(itertools.product([0, 1, 2], [None, 1, 2, 3], [False, True]))
)
def test_every_case_of_the_protocol(before: int, finishers: int | None, spent: bool) -> None:
    kinds = [(finite, reached) for finite in (False, True) for reached in (False, True)]
    for one, other in itertools.product(kinds, repeat=2):
        trials = {3: one, 8: other}
        finite = {trial: is_finite for trial, (is_finite, _) in trials.items()}
        reached = [trial for trial, (_, is_reached) in trials.items() if is_reached]
        finished = before + list(trials.values()).count((True, True))
        expected = {trial: by_hand(*kind, finished, finishers, spent) for trial, kind in trials.items()}
        found = endings(finite, reached, before, finishers, spent)
        assert found == {trial: status for trial, status in expected.items() if status is not None}
        assert set(found.values()) <= set(STATUSES)


def test_nothing_runs_and_nothing_ends() -> None:
    assert endings({}, [], finished_before=1, finishers=1, budget_spent=True) == {}


def test_seconds_are_shared_equally_by_the_trials_that_run() -> None:
    seconds = Seconds(100.0)
    seconds.train([1, 2, 3, 4], 108.0)
    seconds.evaluate([1, 2, 3, 4], 109.0)
    seconds.train([2, 4], 119.0)
    seconds.evaluate([], 120.0)
    seconds.evaluate([4], 121.5)
    assert seconds.spent == {1: [2.0, 0.25], 2: [7.0, 0.25], 3: [2.0, 0.25], 4: [7.0, 1.75]}
