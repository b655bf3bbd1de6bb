from collections.abc import Sequence
from typing import Any

import plain
import pytest
import torch
import torch.nn.functional as F
from networks import (
    PRODUCTS,
    RESNET8,
    SHALLUE,
    SIMPLE_CNN,
    SMALL,
    Batch,
    Masks,
    Network,
    Training,
    assert_close,
    assert_equal,
    options,
)
from torch import Tensor

from dps.stack.stack import Stack

OPTIMIZERS = ["sgd", "momentum", "nesterov"]


def follow(
    network: Network,
    optimizer: str,
    sparsity: float,
    seeds: Sequence[int],
    followed: Sequence[int],
    steps: int = 100,
    batch_size: int = 2,
) -> None:
    """Compare trials of a stack with the same trials trained alone by plain PyTorch, after every step."""
    masks = network.random_masks(seeds, sparsity) if sparsity else None
    training = Training(network, seeds, len(seeds), optimizer=optimizer, masks=masks)
    batches = network.batches(steps, batch_size)
    alone = {}
    for seed in followed:
        initial = list(network.initial(seed).values())
        own = None if masks is None else [mask[0].double() for mask in masks[seed].values()]
        if own is not None:
            initial = [values * mask for values, mask in zip(initial, own, strict=True)]
        assert_equal(training.weights(seed), initial)
        alone[seed] = plain.train(network.plain, initial, batches, own, **options(optimizer, seed))
    for batch in batches:
        training.step(batch)
        for seed in followed:
            assert_close(training.weights(seed), next(alone[seed]))
    changes = [now - start for now, start in zip(training.weights(followed[-1]), initial, strict=True)]
    assert max(change.abs().max() for change in changes) > 1e-3  # 10,000,000 times what is tolerated


# ---- a trial in the stack is the trial alone


@pytest.mark.parametrize(("sparsity", "batch_size"), [(0, 12), (0.5, 1)])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_trial_in_a_stack_of_16_is_the_trial_alone(optimizer: str, sparsity: float, batch_size: int) -> None:
    follow(SMALL, optimizer, sparsity, range(16), [0, 15], batch_size=batch_size)


@pytest.mark.parametrize(
    ("network", "optimizer", "sparsity", "trials", "steps", "batch_size"),
    [
        pytest.param(SIMPLE_CNN, "momentum", 0.9, 16, 100, 1, id="simple_cnn"),
        pytest.param(PRODUCTS, "momentum", 0.9, 4, 100, 2, id="simple_cnn, by products"),
        pytest.param(RESNET8, "nesterov", 0.5, 2, 40, 2, id="resnet8"),
        pytest.param(RESNET8, "sgd", 0, 2, 10, 6, id="resnet8, larger batch"),
        pytest.param(SHALLUE, "sgd", 0, 2, 4, 2, id="simple_cnn_shallue"),
    ],
)
def test_trials_of_the_studys_networks_are_the_trials_alone(
    network: Network, optimizer: str, sparsity: float, trials: int, steps: int, batch_size: int
) -> None:
    follow(network, optimizer, sparsity, range(trials), [0, trials - 1], steps, batch_size)


@pytest.mark.slow
@pytest.mark.parametrize("sparsity", [0, 0.9])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize(
    ("network", "trials"),
    [
        pytest.param(SIMPLE_CNN, 16, id="simple_cnn"),
        pytest.param(RESNET8, 16, id="resnet8"),
        pytest.param(SHALLUE, 2, id="simple_cnn_shallue"),
    ],
)
def test_every_network_with_every_optimizer(network: Network, trials: int, optimizer: str, sparsity: float) -> None:
    follow(network, optimizer, sparsity, range(trials), range(0, trials, 5))


def test_a_trial_with_linear_decay_in_the_stack_is_the_trial_alone() -> None:
    seeds, batches = range(3), SMALL.batches(40, 2)
    decay: dict[str, Any] = {"decay_steps": [10, 25, 100], "end_factor": [0.5, 0.01, 0.1]}
    training = Training(SMALL, seeds, 2, optimizer="nesterov", decay=decay)
    for batch in batches:
        training.step(batch)
    for seed in seeds:
        leaves = [values.clone().requires_grad_() for values in SMALL.initial(seed).values()]
        sgd = torch.optim.SGD(leaves, **options("nesterov", seed))
        schedule = torch.optim.lr_scheduler.LinearLR(sgd, 1, decay["end_factor"][seed], decay["decay_steps"][seed])
        for images, labels in batches:
            sgd.zero_grad()
            F.cross_entropy(plain.small(leaves, images), labels).backward()
            sgd.step()
            schedule.step()
        assert_close(training.weights(seed), [leaf.detach() for leaf in leaves])


def test_the_loss_of_each_row_is_its_mean_over_the_batch() -> None:
    training, batch = Training(SMALL, [3, 8, 5], 2), SMALL.batches(1, 7)[0]
    losses = training.step(batch)
    assert losses.shape == (4,)
    for row, seed in enumerate([3, 8, 5]):
        logits = plain.small(list(SMALL.initial(seed).values()), batch[0])
        picked = logits.exp()[range(7), batch[1]] / logits.exp().sum(1)
        torch.testing.assert_close(losses[row], -picked.log().mean(), rtol=0, atol=1e-12)


@pytest.mark.parametrize("examples_per_pass", [1, 2, 3, 7])
@pytest.mark.parametrize("network", [SMALL, SIMPLE_CNN], ids=["small", "simple_cnn"])
def test_a_batch_in_several_passes_is_the_batch_in_one(network: Network, examples_per_pass: int) -> None:
    batches = network.batches(10, 7)
    one = Training(network, [0, 1], 2)
    several = Training(network, [0, 1], 2, examples_per_pass=examples_per_pass)
    for batch in batches:
        assert_close([one.step(batch)], [several.step(batch)], 1e-12)
    for seed in (0, 1):
        assert_close(one.weights(seed), several.weights(seed), 1e-12)


# ---- bit for bit, in float32: what a trajectory does not depend on

SINGLE: dict[str, Any] = {"dtype": torch.float32, "optimizer": "nesterov"}


@pytest.fixture(
    scope="module",
    params=[
        pytest.param((SMALL, 200, 8), id="small"),
        pytest.param((SIMPLE_CNN, 120, 4), id="simple_cnn"),
        pytest.param((PRODUCTS, 120, 4), id="simple_cnn, by products", marks=pytest.mark.slow),
        pytest.param((SIMPLE_CNN, 100, 20), id="simple_cnn, larger batch", marks=pytest.mark.slow),
    ],
)
def setting(request: pytest.FixtureRequest) -> tuple[Network, int, int]:
    """A network, the steps of a run and its batch size."""
    found: tuple[Network, int, int] = request.param
    return found


@pytest.fixture(scope="module")
def network(setting: tuple[Network, int, int]) -> Network:
    return setting[0]


@pytest.fixture(scope="module")
def masks(network: Network) -> Masks:
    return network.random_masks(range(20), 0.8)


@pytest.fixture(scope="module")
def batches(setting: tuple[Network, int, int]) -> list[Batch]:
    network, steps, batch_size = setting
    return network.batches(steps, batch_size, torch.float32)


@pytest.fixture(scope="module")
def undisturbed(network: Network, masks: Masks, batches: list[Batch]) -> dict[int, list[Tensor]]:
    """The weights of trials 0 to 6 at the end, in slices of three (the last with one trial and two idle rows)."""
    training = Training(network, range(7), 3, masks=masks, **SINGLE)
    for batch in batches:
        training.step(batch)
    return {seed: training.weights(seed) for seed in range(7)}


@pytest.mark.parametrize(
    ("seeds", "followed"),
    [
        pytest.param([6], [6], id="no neighbours"),
        pytest.param([17, 3, 6], [3, 6], id="other neighbours, other rows"),
    ],
)
def test_neighbours_and_padding_change_no_bit(
    network: Network,
    masks: Masks,
    batches: list[Batch],
    undisturbed: dict[int, list[Tensor]],
    seeds: list[int],
    followed: list[int],
) -> None:
    training = Training(network, seeds, 3, masks=masks, **SINGLE)
    for batch in batches:
        training.step(batch)
    for seed in followed:
        assert_equal(training.weights(seed), undisturbed[seed])


def test_trials_that_leave_change_no_bit(
    network: Network,
    masks: Masks,
    batches: list[Batch],
    undisturbed: dict[int, list[Tensor]],
) -> None:
    training = Training(network, range(7), 3, masks=masks, **SINGLE)
    leaving = {20: [5], 40: [0, 3], 90: [2]}
    slices = []
    for step, batch in enumerate(batches):
        training.retire(*leaving.get(step, []))
        slices.append(len(training.stack.slices))
        training.step(batch)
    assert [slices[19], slices[20], slices[40], slices[90]] == [3, 2, 2, 1]
    assert training.stack.running().keys() == {1, 4, 6}
    for seed in (1, 4, 6):
        assert_equal(training.weights(seed), undisturbed[seed])


def test_a_diverging_neighbour_changes_no_bit(
    network: Network,
    masks: Masks,
    batches: list[Batch],
    undisturbed: dict[int, list[Tensor]],
) -> None:
    training = Training(network, range(3), 3, masks=masks, lr={1: 1e30}, **SINGLE)
    for step, batch in enumerate(batches):
        if step == len(batches) // 2:
            assert training.stack.finite() == [True, False, True]
            assert not all(values.isfinite().all() for values in training.weights(1))
            training.retire(1)
        training.step(batch)
    for seed in (0, 2):
        assert_equal(training.weights(seed), undisturbed[seed])


def test_a_saved_stack_goes_on_as_if_it_had_never_stopped(
    network: Network,
    masks: Masks,
    batches: list[Batch],
    undisturbed: dict[int, list[Tensor]],
) -> None:
    training = Training(network, range(7), 3, masks=masks, **SINGLE)
    for batch in batches[:50]:
        training.step(batch)
    training.retire(0, 5)
    saved = training.stack.state_dict(), training.sgd.state_dict(), list(training.stack.rows)

    resumed = Training(network, range(7), 3, **SINGLE)
    resumed.stack.lay_out(saved[2], pruned=True)
    resumed.sgd.follow([], [], 3 - len(resumed.stack.slices))
    resumed.stack.load_state_dict(saved[0])
    resumed.sgd.load_state_dict(saved[1])
    assert resumed.stack.running() == training.stack.running()
    for batch in batches[50:]:
        resumed.step(batch)
    for seed in (1, 2, 3, 4, 6):
        assert_equal(resumed.weights(seed), undisturbed[seed])


# ---- which trials are finite, and which rows hold what


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("layer", [0, 5])
def test_a_weight_that_is_not_finite_is_seen_in_its_row_alone(layer: int, bad: float) -> None:
    training = Training(SMALL, [4, 5, 6], 2)
    assert training.stack.finite()[:3] == [True, True, True]
    with torch.no_grad():
        list(training.stack.weights_by_trial()[5].values())[layer][0, ..., -1] = bad
    assert training.stack.finite()[:3] == [True, False, True]


def test_a_batch_whose_loss_was_not_finite_is_remembered() -> None:
    training, batch = Training(SMALL, [4, 5, 6], 2), SMALL.batches(1, 4)[0]
    bias = training.stack.weights_by_trial()[5]["dense.bias"]
    bias[0, 3] = float("inf")
    training.stack.backward(*batch)
    bias[0, 3] = 0
    assert training.stack.finite()[:3] == [True, False, True]


def test_one_pass_of_several_is_enough_to_be_infeasible() -> None:
    training = Training(SMALL, [4, 5], 2, examples_per_pass=1)
    images, labels = SMALL.batches(1, 3)[0]
    images[1] = float("inf")
    training.stack.backward(images, labels)
    assert training.stack.finite() == [False, False]


def test_rows_after_trials_have_left() -> None:
    training = Training(SMALL, [10, 11, 12, 13, 14], 2)
    assert training.stack.rows == [10, 11, 12, 13, 14, None]
    before = {seed: training.weights(seed) for seed in (10, 12, 14)}
    training.retire(11)
    assert len(training.stack.slices) == 2
    assert training.stack.running() == {10: 0, 14: 1, 12: 2, 13: 3}
    training.retire(13)
    assert len(training.stack.slices) == 2
    assert [trial for trial in training.stack.rows if trial is not None] == [10, 14, 12]
    for seed, weights in before.items():
        assert_equal(training.weights(seed), weights)
        index, inner = training.stack.place(training.stack.running()[seed])
        group = training.sgd.param_groups[index]
        assert group["lr"][inner] == options("momentum", seed)["lr"]
        assert group["momentum"][inner] == options("momentum", seed)["momentum"]
    training.retire(10, 14, 12)
    assert training.stack.running() == {}
    assert len(training.stack.slices) == len(training.sgd.param_groups) == 1


def test_a_row_that_was_left_rests_at_zero() -> None:
    training = Training(SMALL, [0, 1], 2, optimizer="nesterov")
    batches = SMALL.batches(20, 4)
    for step, batch in enumerate(batches):
        if step == 10:
            training.retire(0)
        training.step(batch)
    assert not any(weights[0].any() for weights in training.stack.slices[0].weights)
    assert all(weights[1].any() for weights in training.stack.slices[0].weights)


def test_a_diverged_trial_leaves_no_trace_in_its_row() -> None:
    training, batches = Training(SMALL, [0, 1], 2, lr={0: 1e200}), SMALL.batches(20, 4)
    for batch in batches[:10]:
        training.step(batch)
    training.retire(0)
    for batch in batches[10:]:
        losses = training.step(batch)
    assert losses.isfinite().all()
    assert not any(weights[0].any() for weights in training.stack.slices[0].weights)


def test_pruned_parameters_are_exactly_zero_after_every_step() -> None:
    seeds = range(5)
    for optimizer in OPTIMIZERS:
        masks = SMALL.random_masks(seeds, 0.7)
        training = Training(SMALL, seeds, 2, optimizer=optimizer, dtype=torch.float32, masks=masks)
        for batch in SMALL.batches(30, 4, torch.float32):
            training.step(batch)
            for seed in seeds:
                for values, mask in zip(training.weights(seed), masks[seed].values(), strict=True):
                    assert not values[mask[0] == 0].any()
                    if values.ndim > 1:
                        assert values[mask[0] == 1].all()


def test_a_mask_of_other_than_0_and_1_is_refused() -> None:
    training, masks = Training(SMALL, [0], 1), SMALL.random_masks([0], 0.5)
    masks[0]["dense.bias"][0, 3] = 0.5
    with pytest.raises(AssertionError, match="0 and 1"):
        training.stack.prune(masks)


@pytest.mark.parametrize("pass_over", ["a row", "a slice, as on a GPU"])
def test_mistakes_are_those_of_the_plain_network(pass_over: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if pass_over != "a row":
        monkeypatch.setattr(Stack, "_by_row", Stack._by_slice)
    training = Training(SMALL, [7, 8, 9], 2)
    images, labels = SMALL.batches(1, 50)[0]
    with torch.no_grad():
        training.stack.weights_by_trial()[8]["dense.bias"][0, 0] = float("nan")
    wrong, finite = training.stack.mistakes([2, 0, 1], images, labels)
    for flags, seed in zip(wrong[:2], (9, 7), strict=True):
        logits = plain.small(list(SMALL.initial(seed).values()), images)
        assert torch.equal(flags, logits.max(1).indices != labels)
    assert finite.tolist() == [True, True, False]


def test_a_row_has_the_same_logits_whichever_others_are_asked_for() -> None:
    training = Training(SIMPLE_CNN, range(5), 2, dtype=torch.float32)
    images = SIMPLE_CNN.batches(1, 48, torch.float32)[0][0]
    for logits in (training.stack._by_row, training.stack._by_slice):
        everyone = logits(range(5), images)
        assert torch.equal(logits([3], images)[0], everyone[3])
        assert torch.equal(torch.stack(logits([4, 0], images)), torch.stack([everyone[4], everyone[0]]))


def test_a_check_passes_over_each_slice_once(monkeypatch: pytest.MonkeyPatch) -> None:
    passes: list[int] = []
    logits = Stack._logits

    def counted(stack: Stack, weights: tuple[torch.Tensor, ...], images: torch.Tensor) -> torch.Tensor:
        passes.append(len(weights[0]))
        return logits(stack, weights, images)

    monkeypatch.setattr(Stack, "_logits", counted)
    Training(SMALL, range(5), 3).stack._by_slice([4, 0, 2, 1], SMALL.batches(1, 50)[0][0])
    assert passes == [3, 3]
