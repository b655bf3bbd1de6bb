"""The order in which training examples are read: a function of the seed alone.

Dimensions: N examples, B examples in a global batch.
"""

import numpy as np
import torch
from torch import Tensor

SPLIT, _EPOCH = 0, 1  # what a permutation is for: part of its seed


class Stream:
    """The order of training examples: one permutation of all of them after another, cut into batches of equal size.

    Step k takes positions k B to (k + 1) B - 1 of the concatenated permutations, so the order depends on the seed
    alone, whatever the batch size, the device and the step at which reading starts.
    """

    def __init__(self, examples: int, batch_size: int, seed: int, device: torch.device) -> None:
        assert 0 < batch_size <= examples, "a batch that spans three epochs has no use here"
        self.examples = examples
        self.batch_size = batch_size
        self.seed = seed
        self.device = device
        self._epochs: dict[int, Tensor] = {}

    def indices(self, step: int) -> Tensor:
        """Return the rows of the training set that make the global batch of `step`, counted from 0: int64 (B,)."""
        epoch, start = divmod(step * self.batch_size, self.examples)
        rows = self._epoch(epoch)[start : start + self.batch_size]
        missing = self.batch_size - len(rows)
        return rows if missing == 0 else torch.cat([rows, self._epoch(epoch + 1)[:missing]])

    def _epoch(self, epoch: int) -> Tensor:
        if epoch not in self._epochs:
            rows = permutation(self.examples, self.seed, _EPOCH, epoch)
            if self.device.type == "cuda":
                rows = rows.pin_memory()
            self._epochs = {e: kept for e, kept in self._epochs.items() if e == epoch - 1}
            self._epochs[epoch] = rows.to(self.device, non_blocking=True)
        return self._epochs[epoch]


def permutation(examples: int, seed: int, *purpose: int) -> Tensor:
    """Return a permutation of range(examples) that depends on the seed and the purpose alone: int64 (N,) on the CPU."""
    state = np.random.SeedSequence(seed, spawn_key=purpose).generate_state(1, np.uint64)
    return torch.randperm(examples, generator=torch.Generator().manual_seed(int(state[0])))
