import plain
import pytest
import torch
import torch.nn.functional as F
from test_gradients import examples, stack

from dps.measures.loss import loss_and_error
from dps.models import ResNet8, SimpleCNN


@pytest.mark.parametrize("examples_per_pass", [1, 10, 25, 100])
@pytest.mark.parametrize(
    ("build", "network", "image"),
    [
        pytest.param(SimpleCNN, plain.simple_cnn, (1, 28, 28), id="simple_cnn"),
        pytest.param(ResNet8, plain.resnet8, (3, 32, 32), id="resnet8"),
    ],
)
def test_every_trials_mean_loss_and_error(
    build: type[SimpleCNN] | type[ResNet8], network: plain.Network, image: tuple[int, ...], examples_per_pass: int
) -> None:
    model, weights = stack(build, [2, 8])
    images, labels = examples(image, 25)
    losses, errors = loss_and_error(model, weights, images, labels, examples_per_pass=examples_per_pass)
    assert losses.shape == errors.shape == (2,)
    for row in range(2):
        logits = network([values[row] for values in weights.values()], images)
        assert float(losses[row]) == pytest.approx(float(F.cross_entropy(logits, labels)), rel=1e-12)
        wrong = sum(int(logits[n].argmax()) != int(labels[n]) for n in range(25))
        assert float(errors[row]) == wrong / 25
    assert 0 < float(errors.min()) < 1


def test_a_trial_that_diverged_has_neither() -> None:
    model, weights = stack(SimpleCNN, [2])
    weights["dense.weight"][0, 3] = torch.nan
    losses, errors = loss_and_error(model, weights, *examples((1, 28, 28), 5))
    assert losses.isnan().all() and errors.isnan().all()
