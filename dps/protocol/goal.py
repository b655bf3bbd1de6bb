"""The goal check: has the error on the entire validation set come down to the goal?

The answer is a comparison of counts, wrong <= goal * N, so it is certain as soon as one example too many is wrong. A
check therefore reads the examples that trials most often get wrong first, in blocks, and stops at the block that
settles it; only a check that passes reads all N. Every block has the same number of examples, so that an example's
logits, and with them the decision, do not depend on what else is read.

Shapes: T trials, N validation examples.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import torch
from torch import Tensor

Mistakes = Callable[[Sequence[int], Tensor], tuple[Tensor, Tensor]]


def allowed_mistakes(goal_error: float, examples: int) -> int:
    """The most mistakes that reach the goal: floor(goal * N) in exact decimal arithmetic (0.12 of 6,000 is 720)."""
    return int(Fraction(repr(float(goal_error))) * examples)


@dataclass
class Verdict:
    """What a check found of one trial; a trial that failed may be wrong on more than `wrong` of the N examples."""

    wrong: int = 0
    examples_read: int = 0
    reached: bool = False
    finite: bool = True

    @property
    def error(self) -> float:
        """`wrong` as a fraction of the examples read: the validation error of a check that read them all."""
        return self.wrong / self.examples_read


class GoalCheck:
    """Checks trials against a goal error in [0, 1) on N examples, and learns from check to check which are hard."""

    def __init__(
        self, goal_error: float, examples: int, examples_per_block: int, early_reject: bool, device: torch.device
    ):
        self.allowed = allowed_mistakes(goal_error, examples)
        self.early_reject = early_reject
        self.examples_per_block = min(examples_per_block, examples)
        self.difficulty = torch.full((examples,), 0.05, device=device)

    def __call__(self, mistakes: Mistakes, rows: Sequence[int]) -> dict[int, Verdict]:
        """The verdict on the trial in each of `rows`.

        `mistakes(rows, indices)` says which examples each trial gets wrong (rows, indices) and whether all its logits
        are finite (rows,). The answer to each chunk is waited for once, for all trials together.
        """
        order = self.difficulty.argsort(descending=True, stable=True)
        verdicts = {row: Verdict() for row in rows}
        alive = list(rows)
        for chunk in self._chunks(order):
            if not alive:
                break
            wrong, finite = self._read(mistakes, alive, chunk)
            for row, row_wrong, row_finite in zip(alive, wrong, finite, strict=True):
                verdict = verdicts[row]
                verdict.wrong += row_wrong
                verdict.examples_read += len(chunk)
                verdict.finite &= row_finite
            if self.early_reject:
                alive = [row for row in alive if verdicts[row].wrong <= self.allowed]
        for verdict in verdicts.values():
            verdict.reached = verdict.wrong <= self.allowed
        return verdicts

    def count(self, mistakes: Mistakes, rows: Sequence[int]) -> list[int]:
        """How many of all N examples each of `rows` gets wrong."""
        everything = torch.arange(len(self.difficulty), device=self.difficulty.device)
        return self._read(mistakes, rows, everything)[0]

    def _chunks(self, order: Tensor) -> Iterator[Tensor]:
        """Blocks of the order: at first as few as can settle the check, then growing numbers of them."""
        block, read = self.examples_per_block, 0
        blocks = self.allowed // block + 1
        while read < len(order):
            yield order[read : read + blocks * block]
            read += blocks * block
            blocks = max(1, read // (4 * block))

    def _read(self, mistakes: Mistakes, rows: Sequence[int], indices: Tensor) -> tuple[list[int], list[bool]]:
        flags, finite = [], []
        for block in indices.split(self.examples_per_block):
            padded = torch.cat([block, block[:1].expand(self.examples_per_block - len(block))])
            block_flags, block_finite = mistakes(rows, padded)
            flags.append(block_flags[:, : len(block)])
            finite.append(block_finite)
        wrong = torch.cat(flags, 1)
        self.difficulty[indices] += 0.2 * (wrong.to(self.difficulty).mean(0) - self.difficulty[indices])
        answer = torch.stack([wrong.sum(1), torch.stack(finite).all(0)]).tolist()
        return answer[0], [bool(flag) for flag in answer[1]]
