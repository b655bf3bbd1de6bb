"""The network of a configuration, tried before any data are read.

Shapes: (C, H, W) of an image.
"""

import json
import warnings
from functools import cache
from typing import Any

import torch
from hydra.utils import instantiate

from dps.errors import one_line
from dps.models.initialise import built
from dps.models.stackable import refuse_unstackable
from dps.protocol.values import require
from dps.pruning import kept_parameters


def check_network(given: dict[str, Any]) -> None:
    """ValueError unless the network can be built and stacked, takes images of `data.image_shape`, and keeps a weight.

    `given` is a plain configuration whose parts are known to be right.
    """
    name, sparsity, shape = given["names"]["model"], given["sparsity"], given["data"].get("image_shape")
    try:
        model = json.dumps(given["model"])
    except TypeError:  # a value of it follows from a job that has not begun, and is checked then
        return
    parameters, refusal = _tried(model, tuple(shape) if shape else None)
    if refusal and not parameters:
        raise ValueError(f"model={name} cannot be built: {refusal}")
    if refusal:
        what = f"cannot take the images of data={given['names']['dataset']}, which are of the shape {tuple(shape)}"
        raise ValueError(f"model={name} {what}: {refusal}")
    most = f"at most {1 - 1 / parameters:.10f}, which leaves one of the model's {parameters} parameters"
    require(kept_parameters(parameters, sparsity) > 0, "sparsity", sparsity, most)


@cache
def _tried(model: str, shape: tuple[int, ...] | None) -> tuple[int, str]:
    """The number of the network's parameters, 0 if it cannot be built, and why it cannot take two images of a shape."""
    parameters = 0
    try:
        with warnings.catch_warnings(action="ignore"), torch.no_grad(), torch.random.fork_rng(devices=[]):
            network = built(lambda: instantiate(json.loads(model)), seed=0)
            parameters = sum(parameter.numel() for parameter in network.parameters())
            if not parameters:
                raise ValueError("it has no parameters to train")
            if shape is not None:
                network(torch.zeros(2, *shape))
    except Exception as error:  # whatever a network of a user's raises
        return parameters, one_line(error)
    refuse_unstackable(network)
    return parameters, ""
