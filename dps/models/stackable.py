"""Which networks cannot be trained in a stack, and why."""

from collections.abc import Iterator

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm, _NormBase
from torch.nn.modules.dropout import _DropoutNd


def refuse_unstackable(model: nn.Module) -> None:
    """ValueError that names the first part of the model which mixes examples, keeps statistics or draws at random.

    A trial's answer must be a function of its weights and of one example alone: else it would depend on how batches
    are cut into passes, and on the trials beside it.
    """
    for name, why in _reasons(model):
        raise ValueError(f"model: {name} {why}, which a stack of trials cannot have; build the model without it")


def _reasons(model: nn.Module) -> Iterator[tuple[str, str]]:
    for path, part in model.named_modules():
        name = f"{path or 'the whole'}, a {type(part).__name__},"
        if isinstance(part, _BatchNorm):
            yield name, "normalises over the examples of a batch"
        elif isinstance(part, _NormBase) and part.track_running_stats:
            yield name, "keeps running statistics"
        elif isinstance(part, _DropoutNd) and part.p > 0:
            yield name, "drops activations at random"
        elif isinstance(part, nn.RReLU | nn.FractionalMaxPool2d | nn.FractionalMaxPool3d):
            yield name, "draws at random"
        elif isinstance(part, nn.MultiheadAttention | nn.RNNBase) and part.dropout > 0:
            yield name, "drops activations at random"
