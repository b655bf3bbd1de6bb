from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor

from dps.protocol.goal import GoalCheck, Verdict, allowed_mistakes

CPU = torch.device("cpu")


class Table:
    """Trials whose mistakes are known (rows, N): what a check reads of them, and how."""

    def __init__(self, wrong: Tensor, not_finite: Sequence[tuple[int, int]] = ()):
        self.wrong = wrong.bool()
        self.finite = torch.ones(wrong.shape, dtype=torch.bool)
        for row, example in not_finite:
            self.finite[row, example] = False
        self.block_sizes: set[int] = set()

    def __call__(self, rows: Sequence[int], indices: Tensor) -> tuple[Tensor, Tensor]:
        self.block_sizes.add(len(indices))
        rows = list(rows)
        return self.wrong[rows][:, indices], self.finite[rows][:, indices].all(1)


def mistakes(examples: int, *counts: int, seed: int = 0) -> Tensor:
    """Rows (T, N) with so many mistakes each, in random places."""
    generator = torch.Generator().manual_seed(seed)
    return torch.stack([torch.randperm(examples, generator=generator) < count for count in counts])


def check(goal_error: float, examples: int, block: int = 64, early_reject: bool = True) -> GoalCheck:
    return GoalCheck(goal_error, examples, block, early_reject, CPU)


@pytest.mark.parametrize(
    ("goal_error", "examples", "allowed"),
    [
        (0.12, 6000, 720),
        (0.02, 6000, 120),
        (0.14, 6000, 840),
        (0.4, 5000, 2000),
        (0.1, 30, 3),
        (0.04, 150, 6),
        (0.29, 100, 29),  # 0.29 * 100 is 28.999999999999996 in floating point
        (0.58, 100, 58),
        (0.07, 100, 7),  # and 0.07 * 100 is 7.000000000000001
        (0.0199, 6000, 119),
        (0.02, 59, 1),
        (0.02, 49, 0),
        (1e-05, 100_000, 1),
        (0.0, 6000, 0),
        (0, 6000, 0),
        (0.999, 1000, 999),
    ],
)
def test_allowed_mistakes_are_exact(goal_error: float, examples: int, allowed: int) -> None:
    assert allowed_mistakes(goal_error, examples) == allowed


def test_allowed_mistakes_of_every_whole_per_cent() -> None:
    for percent in range(100):
        for examples in (100, 150, 5000, 6000, 6001):
            assert allowed_mistakes(percent / 100, examples) == percent * examples // 100


@pytest.mark.parametrize("early_reject", [True, False])
@pytest.mark.parametrize(("goal_error", "examples", "block"), [(0.12, 6000, 64), (0.1, 30, 64), (0.02, 1000, 7)])
def test_the_boundary_count_is_reached_and_one_more_is_not(
    goal_error: float, examples: int, block: int, early_reject: bool
) -> None:
    allowed = allowed_mistakes(goal_error, examples)
    table = Table(mistakes(examples, allowed - 1, allowed, allowed + 1, examples, 0))
    goal = check(goal_error, examples, block, early_reject)
    for _ in range(4):
        verdicts = goal(table, range(5))
        assert [verdicts[row].reached for row in range(5)] == [True, True, False, False, True]
        for row, wrong in ((0, allowed - 1), (1, allowed), (4, 0)):
            assert verdicts[row].wrong == wrong
            assert verdicts[row].examples_read == examples
            assert verdicts[row].error == wrong / examples


@pytest.mark.parametrize("seed", range(60))
def test_an_early_answer_is_the_answer(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)

    def draw(low: int, high: int) -> int:
        return int(torch.randint(low, high, (), generator=generator))

    examples, block, trials = draw(1, 700), draw(1, 130), draw(1, 6)
    goal_error = draw(0, 60) / 100
    early, patient = check(goal_error, examples, block, True), check(goal_error, examples, block, False)
    hardness = torch.rand(examples, generator=generator)
    for _ in range(6):
        skill = torch.rand(trials, 1, generator=generator)
        table = Table(torch.rand(trials, examples, generator=generator) * hardness > skill)
        rows = [row for row in range(trials) if draw(0, 4)]
        found, expected = early(table, rows), patient(table, rows)
        assert found.keys() == expected.keys() == set(rows)
        for row in rows:
            count = int(table.wrong[row].sum())
            assert expected[row] == Verdict(count, examples, 100 * count <= round(100 * goal_error) * examples)
            assert found[row].reached == expected[row].reached
            if found[row].reached:
                assert found[row] == expected[row]
            else:
                assert early.allowed < found[row].wrong <= count
                assert found[row].wrong <= found[row].examples_read <= examples
        assert len(table.block_sizes) <= 1


def test_a_failing_check_reads_little_once_the_hard_examples_are_known() -> None:
    examples = 6000
    generator = torch.Generator().manual_seed(1)
    hard = torch.randperm(examples, generator=generator) < 300
    goal = check(0.02, examples)
    read = []
    for _ in range(20):
        wrong = hard & (torch.rand(examples, generator=generator) < 0.8)  # 240 of them, where 120 are allowed
        verdict = goal(Table(wrong[None]), [0])[0]
        assert not verdict.reached
        read.append(verdict.examples_read)
    assert read[0] > 2000
    assert max(read[10:]) <= 320


def test_the_first_check_reads_no_more_blocks_than_can_settle_it() -> None:
    goal = check(0.02, 6000)
    verdict = goal(Table(torch.ones(1, 6000)), [0])[0]
    assert verdict == Verdict(128, 128, False)  # the 121st mistake is in the second block of 64


def test_trials_that_are_settled_are_not_read_on() -> None:
    table = Table(mistakes(1000, 900, 5))
    asked: list[list[int]] = []

    def recorded(rows: Sequence[int], indices: Tensor) -> tuple[Tensor, Tensor]:
        asked.append(list(rows))
        return table(rows, indices)

    verdicts = check(0.01, 1000, 50)(recorded, [0, 1])
    assert asked[0] == [0, 1]
    assert asked[-1] == [1]
    assert verdicts[0].examples_read < 1000 == verdicts[1].examples_read


@pytest.mark.parametrize(("examples", "block"), [(1, 64), (30, 64), (64, 64), (65, 64), (150, 64), (5, 1)])
@pytest.mark.parametrize("early_reject", [True, False])
def test_sets_of_any_size(examples: int, block: int, early_reject: bool) -> None:
    table = Table(mistakes(examples, 0, examples, examples // 2))
    goal = check(0.5, examples, block, early_reject)
    for _ in range(3):
        verdicts = goal(table, range(3))
        assert [verdict.reached for verdict in verdicts.values()] == [True, False, True]
        assert goal.count(table, range(3)) == [0, examples, examples // 2]
    assert table.block_sizes == {min(examples, block)}


def test_count_is_exact_after_anything_learnt() -> None:
    table = Table(mistakes(333, 7, 120, 333, 0, seed=5))
    goal = check(0.1, 333, 50)
    for rows in ([0, 1, 2, 3], [3, 1], [2]):
        goal(table, rows)
        assert goal.count(table, rows) == [int(table.wrong[row].sum()) for row in rows]


@pytest.mark.parametrize("example", [0, 100, 149])
def test_logits_that_are_not_finite_are_told(example: int) -> None:
    table = Table(mistakes(150, 2, 2), not_finite=[(1, example)])
    verdicts = check(0.04, 150)(table, [0, 1])
    assert [verdicts[row].finite for row in (0, 1)] == [True, False]


def test_no_trials_no_verdicts() -> None:
    def never(rows: Sequence[int], indices: Tensor) -> tuple[Tensor, Tensor]:
        raise AssertionError("there is nothing to read")

    asked: Callable[[Sequence[int], Tensor], tuple[Tensor, Tensor]] = never
    assert check(0.1, 100)(asked, []) == {}
