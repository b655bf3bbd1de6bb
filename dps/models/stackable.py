"""Which networks cannot be trained in a stack, and why."""

import copy
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm, _NormBase
from torch.nn.modules.dropout import _DropoutNd


def refuse_unstackable(model: nn.Module) -> None:
    """ValueError that names the first part of the model which mixes examples, keeps statistics or draws at random.

    A trial's answer must be a function of its weights and of one example alone: else it would depend on how batches
    are cut into passes, and on the trials beside it.
    """
    for name, why in _reasons(model):
        raise ValueError(f"model: {name} {why}; a stack of trials cannot have it, so build the model without it")


@torch.no_grad()
def refuse_changing_buffers(model: nn.Module, images: Tensor) -> None:
    """ValueError that names a buffer which the model changes in its forward pass: all trials of a stack share them.

    Also where the model cannot take images (B, C, H, W) of this shape.
    """
    trial = copy.deepcopy(model)
    before = {name: buffer.clone() for name, buffer in trial.named_buffers()}
    try:
        trial(images.cpu().float())
    except Exception as error:  # whatever a network of a user's raises
        shape = tuple(images.shape[1:])
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ValueError(f"model: {type(model).__name__} cannot take images of the shape {shape}: {reason}") from error
    for name, buffer in trial.named_buffers():
        if not torch.equal(buffer, before[name]):
            raise ValueError(
                f"model: {type(model).__name__} changes its buffer {name} in its forward pass, which all trials of a "
                "stack share: build the model without it"
            )


def _reasons(model: nn.Module) -> Iterator[tuple[str, str]]:
    for path, parameter in model.named_parameters():
        if not parameter.is_floating_point():
            yield f"{path}, a parameter of {parameter.dtype},", "is not of real floating-point numbers"
        elif not parameter.requires_grad:
            yield f"{path}, a parameter that is not trained,", "should be a buffer: trials train all their parameters"
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
