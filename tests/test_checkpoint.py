"""The callback that saves a running study: when the ranks of several devices come together."""

from types import SimpleNamespace
from typing import Any

import pytest

from callbacks import StudyCheckpoint


@pytest.mark.parametrize(
    ("seconds", "at"),
    [
        ([0.001] * 50, [1, 17, 33, 49]),
        ([1.0] * 5, [1, 2, 3, 4, 5]),
        ([1.0] + [0.001] * 20, [1, 2, 18]),  # the first step prepares, and is slow
        ([0.001] * 20 + [1.0] * 15, [1, 17, *range(33, 36)]),
    ],
    ids=["quick", "slow", "slow at first", "slow later"],
)
def test_ranks_agree_after_each_step_where_steps_are_slow(
    monkeypatch: pytest.MonkeyPatch, seconds: list[float], at: list[int]
) -> None:
    clock, met = [0.0], []

    def together(decision: bool, all: bool) -> bool:
        met.append(trainer.global_step)
        return decision

    strategy = SimpleNamespace(reduce_boolean_decision=together)
    trainer: Any = SimpleNamespace(world_size=2, global_step=0, strategy=strategy)
    monkeypatch.setattr("callbacks.checkpoint.time.monotonic", lambda: clock[0])
    monkeypatch.setattr("dps.signals.finish_steps", lambda: None)
    callback, task = StudyCheckpoint(every_seconds=1e9), Any
    callback.on_train_start(trainer, task)  # type: ignore[arg-type]
    for trainer.global_step, took in enumerate(seconds, start=1):
        clock[0] += took
        callback.on_train_batch_end(trainer, task)  # type: ignore[arg-type]
    assert sorted(set(met)) == at
