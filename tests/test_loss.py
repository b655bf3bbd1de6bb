"""Losses: of a batch, and with the error over an entire set."""

import pytest
import torch
import torch.nn.functional as F
from networks import RESNET8, SIMPLE_CNN, Network

from dps.measures.loss import loss_and_error
from dps.models.loss import mean_losses


def test_mean_losses_keep_trials_apart() -> None:
    logits = torch.randn(3, 5, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([0, 3, 1, 1, 2])
    expected = [-torch.log_softmax(one, 1)[range(5), labels].mean() for one in logits]
    torch.testing.assert_close(mean_losses(logits, labels), torch.stack(expected), rtol=0, atol=1e-12)


@pytest.mark.parametrize(("dtype", "atol"), [(torch.float32, 0), (torch.float64, 1e-12)])
def test_label_smoothing_is_torchs_trial_by_trial(dtype: torch.dtype, atol: float) -> None:
    logits = 3 * torch.randn(4, 33, 10, dtype=dtype, generator=torch.Generator().manual_seed(0))
    labels, smoothing = torch.arange(33) % 10, [0.1, 0.0, 0.3, 1.0]
    leaves = [logits.clone().requires_grad_() for _ in range(2)]
    ours = mean_losses(leaves[0], labels, torch.tensor(smoothing, dtype=torch.float64))
    theirs = [
        F.cross_entropy(one, labels, reduction="none", label_smoothing=own).mean()
        for one, own in zip(leaves[1], smoothing, strict=True)
    ]
    torch.testing.assert_close(ours, torch.stack(theirs), rtol=0, atol=atol)
    for losses in (ours, torch.stack(theirs)):
        losses.backward(torch.ones_like(losses))
    assert leaves[0].grad is not None and leaves[1].grad is not None
    torch.testing.assert_close(leaves[0].grad, leaves[1].grad, rtol=0, atol=atol)
    assert torch.equal(ours[1], mean_losses(logits[1:2], labels)[0])


@pytest.mark.parametrize("examples_per_pass", [1, 10, 25, 100])
@pytest.mark.parametrize("network", [SIMPLE_CNN, RESNET8], ids=["simple_cnn", "resnet8"])
def test_every_trials_mean_loss_and_error(network: Network, examples_per_pass: int) -> None:
    weights, (images, labels) = network.weights([2, 8]), network.examples(25)
    model = network.stacked()
    losses, errors = loss_and_error(model, weights, images, labels, examples_per_pass=examples_per_pass)
    assert losses.shape == errors.shape == (2,)
    for row in range(2):
        logits = network.plain([values[row] for values in weights.values()], images)
        assert float(losses[row]) == pytest.approx(float(F.cross_entropy(logits, labels)), rel=1e-12)
        wrong = sum(int(logits[n].argmax()) != int(labels[n]) for n in range(25))
        assert float(errors[row]) == wrong / 25
    assert 0 < float(errors.min()) < 1


def test_a_trial_that_diverged_has_neither() -> None:
    weights = SIMPLE_CNN.weights([2])
    weights["dense.weight"][0, 3] = torch.nan
    losses, errors = loss_and_error(SIMPLE_CNN.stacked(), weights, *SIMPLE_CNN.examples(5))
    assert losses.isnan().all() and errors.isnan().all()
