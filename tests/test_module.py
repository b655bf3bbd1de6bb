"""The LightningModule: what a study's trials do, step by step, against plain PyTorch."""

import itertools
import math
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import plain
import pytest
import torch
import torch.nn.functional as F
from command import dps
from networks import SIMPLE_CNN, Training
from torch import Tensor, nn

from dps.data import StudyData, sources
from dps.engine.module import StudyTask
from dps.models import SimpleCNN
from dps.stack.stack import Stack

STEPS = 10
LR = {4: 0.02, 0: 0.005, 7: 0.05}
MOMENTUM = {4: 0.9, 0: 0.0, 7: 0.5}
DECAY_STEPS = {4: 3, 0: 20, 7: 8}
END_FACTOR = {4: 0.1, 0: 0.01, 7: 1.0}
LINEAR = ["lr_schedule=linear", "lr_schedule.decay_steps=[3,20,8]", "lr_schedule.end_factor=[0.1,0.01,1]"]
OF_TODAY: dict[str, dict[int, float]] = {  # of each trial
    "weight_decay": {4: 0.1, 0: 0.0, 7: 0.5},
    "beta1": {4: 0.9, 0: 0.0, 7: 0.5},
    "beta2": {4: 0.999, 0: 0.9, 7: 0.99},
    "eps": {4: 1e-8, 0: 1e-3, 7: 1e-6},
    "warmup_steps": {4: 0, 0: 2, 7: 6},
    "label_smoothing": {4: 0.1, 0: 0.0, 7: 0.3},
}
History = list[dict[int, list[Tensor]]]  # the fixture `history`


def plain_weights(start: list[Tensor], trial: int, momentum: bool, nesterov: bool, linear: bool) -> list[list[Tensor]]:
    """The weights of one trial before each step and after the last, from torch.optim and a lambda schedule."""
    images = sources.digits()
    data = StudyData(lambda: images, batch_size=8, seed=0)
    data._place(images, torch.device("cpu"), torch.float64)
    model = SimpleCNN().double()
    with torch.no_grad():
        for parameter, value in zip(model.parameters(), start, strict=True):
            parameter.copy_(value)
    kept = [value != 0 for value in start]
    options = {"momentum": MOMENTUM[trial], "nesterov": nesterov and MOMENTUM[trial] > 0} if momentum else {}
    optimizer = torch.optim.SGD(model.parameters(), lr=LR[trial], **options)  # type: ignore[arg-type]

    def factor(step: int) -> float:
        share = min(step / DECAY_STEPS[trial], 1)
        return 1 - (1 - END_FACTOR[trial]) * share if linear else 1

    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
    found = []
    for step in range(STEPS):
        found.append([parameter.detach().clone() for parameter in model.parameters()])
        rows = data.stream().indices(step)
        optimizer.zero_grad()
        F.cross_entropy(model(data.train_images[rows]), data.train_labels[rows]).backward()
        for parameter, mask in zip(model.parameters(), kept, strict=True):
            assert parameter.grad is not None
            parameter.grad *= mask if mask.any() or parameter.ndim > 1 else 1
        optimizer.step()
        schedule.step()
    return [*found, [parameter.detach().clone() for parameter in model.parameters()]]


@pytest.mark.parametrize(
    ("optimizer", "schedule", "products"),
    [
        *itertools.product(["sgd", "momentum", "nesterov"], ["constant", "linear"], ["false"]),
        ("momentum", "constant", "true"),
    ],
)
def test_every_trial_follows_its_own_metaparameters(
    tmp_path: Path, history: History, optimizer: str, schedule: str, products: str
) -> None:
    typed = ["trial=[4,0,7]", "optimizer.lr=[0.02,0.005,0.05]", f"optimizer={optimizer}", "batch_size=8"]
    typed += ["optimizer.momentum=[0.9,0,0.5]"] if optimizer != "sgd" else []
    typed += LINEAR if schedule == "linear" else []
    typed += ["stack.trials_per_slice=2", "stack.examples_per_pass=3", f"stack.products={products}"]
    typed += ["trainer.precision=64-true"]
    assert dps(tmp_path, *typed, "goal.error=0", f"max_steps={STEPS}").code == 0
    assert len(history) == STEPS + 1
    for trial in LR:
        start = history[0][trial]
        plain = plain_weights(start, trial, optimizer != "sgd", optimizer == "nesterov", schedule == "linear")
        for ours, theirs in zip(history, plain, strict=True):
            for own, other in zip(ours[trial], theirs, strict=True):
                torch.testing.assert_close(own, other, rtol=0, atol=1e-10)
    assert (history[0][0][0] - history[-1][0][0]).abs().max() > 1e-4


def torchs(optimizer: str, weights: Iterable[nn.Parameter], trial: int) -> torch.optim.Optimizer:
    own = {name: values[trial] for name, values in OF_TODAY.items()}
    if optimizer == "nesterov":
        momentum = {4: 0.9, 0: 0.1, 7: 0.5}[trial]
        return torch.optim.SGD(weights, LR[trial], momentum, weight_decay=own["weight_decay"], nesterov=True)
    make = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[optimizer]
    return make(weights, LR[trial], (own["beta1"], own["beta2"]), own["eps"], own["weight_decay"])


@pytest.mark.parametrize(
    ("optimizer", "cosine"),
    [
        ("adamw", True),
        pytest.param("adam", False, marks=pytest.mark.slow),
        pytest.param("nesterov", True, marks=pytest.mark.slow),
    ],
)
def test_optimizers_and_schedules_of_today_are_torchs(
    tmp_path: Path, history: History, optimizer: str, cosine: bool
) -> None:
    """Trials with values of their own, pruned, in slices of two and passes of three, beside a plain loop of each."""
    names = ["optimizer.weight_decay", "lr_schedule.warmup_steps", "loss.label_smoothing"]
    names += [] if optimizer == "nesterov" else ["optimizer.beta1", "optimizer.beta2", "optimizer.eps"]
    typed = [f"{name}={list(OF_TODAY[name.rpartition('.')[2]].values())}" for name in names]
    typed += ["optimizer.momentum=[0.9,0.1,0.5]"] if optimizer == "nesterov" else []
    if cosine:
        typed += ["lr_schedule=cosine", "lr_schedule.decay_steps=[3,20,8]", "lr_schedule.end_factor=[0.1,0.01,1]"]
    typed += ["trial=[4,0,7]", f"optimizer.lr={list(LR.values())}", f"optimizer={optimizer}", "batch_size=8"]
    typed += ["stack.trials_per_slice=2", "stack.examples_per_pass=3", "stack.products=false", "sparsity=0.5"]
    done = dps(tmp_path, *typed, "trainer.precision=64-true", "goal.error=0", f"max_steps={STEPS}")
    assert (done.code, len(history)) == (0, STEPS + 1), done.stderr
    images = sources.digits()
    data = StudyData(lambda: images, batch_size=8, seed=0)
    data._place(images, torch.device("cpu"), torch.float64)
    for trial, lr in LR.items():
        weights, warm = [nn.Parameter(value.clone()) for value in history[0][trial]], OF_TODAY["warmup_steps"][trial]
        ends = zip(history[0][trial], history[-1][trial], strict=True)  # biases start at zero
        masks, one = [(start if start.ndim > 1 else end) != 0 for start, end in ends], torchs(optimizer, weights, trial)
        for step in range(STEPS):
            since = min(max(step - warm, 0) / DECAY_STEPS[trial], 1)
            wave = END_FACTOR[trial] + (1 - END_FACTOR[trial]) * (1 + math.cos(math.pi * since)) / 2
            factor = (step + 1) / warm if step < warm else wave if cosine else 1.0
            one.param_groups[0]["lr"] = lr * factor
            for value, recorded in zip(weights, history[step][trial], strict=True):
                torch.testing.assert_close(value.detach(), recorded, rtol=0, atol=1e-10)
            rows, smoothing = data.stream().indices(step), OF_TODAY["label_smoothing"][trial]
            logits = plain.simple_cnn(weights, data.train_images[rows])
            loss = F.cross_entropy(logits, data.train_labels[rows], label_smoothing=smoothing)
            for value, mask, gradient in zip(weights, masks, torch.autograd.grad(loss, weights), strict=True):
                value.grad = gradient * mask
            one.step()
        for value, recorded, mask in zip(weights, history[-1][trial], masks, strict=True):
            torch.testing.assert_close(value.detach(), recorded, rtol=0, atol=1e-10)
            assert not recorded[~mask].any() and not mask.all()


def test_pruned_weights_never_come_back(tmp_path: Path, history: History) -> None:
    typed = ["trial=[4,0,7]", "optimizer.lr=[0.02,0.005,0.05]", "optimizer=nesterov", "batch_size=8", "sparsity=0.9"]
    assert dps(tmp_path, *typed, "goal.error=0", f"max_steps={STEPS}").code == 0
    for trial in LR:
        alive = [weights != 0 for weights in history[0][trial]]
        assert sum(int(mask.sum()) for mask in alive) == round(62346 * 0.1)
        for weights in history[1:]:
            for value, mask in zip(weights[trial], alive, strict=True):
                assert torch.equal(value[~mask], torch.zeros_like(value[~mask]))


@pytest.mark.slow
def test_a_run_in_another_precision_starts_at_the_same_weights(tmp_path: Path, history: History) -> None:
    starts = []
    for precision in ("32-true", "64-true", "bf16-mixed"):
        (tmp_path / precision).mkdir()
        typed = ["trial=[4,0]", "batch_size=8", "goal.error=0", "max_steps=1", f"trainer.precision={precision}"]
        assert dps(tmp_path / precision, *typed).code == 0
        starts.append(history[0])
        history.clear()
    for other in starts[1:]:
        for trial, weights in starts[0].items():
            for one, two in zip(weights, other[trial], strict=True):
                assert torch.equal(one.double(), two.double())


def test_weights_are_drawn_where_no_device_is_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lightning makes the trainer's device the default for some hooks; the generators of the weights are of the CPU."""
    modes: list[int] = []
    start = Stack.__init__

    def watched(stack: Stack, *arguments: Any) -> None:
        modes.append(torch._C._len_torch_function_stack())  # a default device is a mode of torch's functions
        start(stack, *arguments)

    monkeypatch.setattr(Stack, "__init__", watched)
    assert dps(tmp_path, "batch_size=8", "max_steps=4", "goal.interval_steps=4", "optimizer.lr=1e-6").code == 0
    assert modes and not any(modes)


def test_the_gradients_of_all_ranks_are_reduced_as_one_contiguous_tensor(monkeypatch: pytest.MonkeyPatch) -> None:
    """NCCL takes no other; of two ranks with the same gradients each keeps its own."""
    stack = Training(SIMPLE_CNN, range(3), 2).stack
    stack.backward(*SIMPLE_CNN.batches(1, 4)[0])
    before = [weights.grad.clone() for weights in stack.parameters() if weights.grad is not None]
    assert not all(gradient.is_contiguous() for gradient in before)
    reduced: list[Tensor] = []

    def add_the_other(tensor: Tensor) -> None:
        reduced.append(tensor)
        tensor *= 2

    monkeypatch.setattr(torch.distributed, "all_reduce", add_the_other)
    task: Any = SimpleNamespace(trainer=SimpleNamespace(world_size=2), stack=stack)
    StudyTask._average_gradients(task)
    assert len(reduced) == 1 and reduced[0].is_contiguous()
    for gradient, weights in zip(before, stack.parameters(), strict=True):
        assert weights.grad is not None and torch.equal(weights.grad, gradient)
