"""One network run for several models at once.

Shapes: S models in a stack, B batch, C classes. Weights are dictionaries by parameter name of stacks (S, ...).
"""

import copy
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

from dps.models.initialise import built
from dps.models.layers import Conv2d, Linear
from dps.models.stackable import refuse_unstackable

Weights = dict[str, Tensor]


class StackedModel:
    """A network, and the quickest of two ways to run it for S models at once.

    Any network runs under torch.func.vmap. One whose parameters all belong to the layers of dps.models.layers runs by
    itself, each of its convolutions as one grouped convolution, if that gives what each model gives alone. Buffers are
    constants that all models share: those of seed 0.

    `images` (N, C, H, W), one or more, are of the shape, precision and device of those that will come. With `products`,
    those convolutions are batches of matrix products. ValueError for a network that cannot be run in a stack.
    """

    def __init__(self, build: Callable[[], nn.Module], images: Tensor, products: bool = False):
        self.build = build
        self.module = built(build, seed=0)
        refuse_unstackable(self.module)
        self.names = [name for name, _ in self.module.named_parameters()]
        self._buffers = {name: _constant(buffer, images) for name, buffer in self.module.named_buffers()}
        convolutions = [layer for layer in self.module.modules() if isinstance(layer, Conv2d)]
        for layer in convolutions:
            layer.products = products
        pairs = zip(self.names, self.initial(0), self.initial(1), strict=True)
        two = {name: torch.stack([one, other]).to(images) for name, one, other in pairs}
        self.runs_by_itself = self._is_made_of_stacked_layers() and self._gives_what_each_gives(two, images[:2])
        if not self.runs_by_itself:
            for layer in convolutions:
                layer.memory_format = torch.preserve_format  # channels-last is not to be had under vmap
            self._try_vmap(two, images[:2])

    def initial(self, seed: int) -> list[Tensor]:
        """The initial weights of a trial, in the order of `names`, in float32 on the CPU."""
        return [parameter.detach() for parameter in built(self.build, seed).parameters()]

    def logits(self, weights: Weights, images: Tensor) -> Tensor:
        """(S, B, C) logits of S models on the same images (B, ...)."""
        logits: Tensor = self._own(weights, images) if self.runs_by_itself else self._vmapped(weights, images)
        return logits

    def bound(self, weights: Sequence[nn.Parameter]) -> Callable[[Tensor], Tensor]:
        """`logits` of these weights (S, ...), in the order of `names`, as a function of the images alone.

        A network that runs by itself gets them as its own parameters, so that no call has to put them in their places.
        """
        if not self.runs_by_itself:
            by_name: Weights = dict(zip(self.names, weights, strict=True))
            return lambda images: self._vmapped(by_name, images)
        network = copy.deepcopy(self.module)
        stacked = dict(zip(network.parameters(), weights, strict=True))
        places = list(network.named_parameters(remove_duplicate=False))
        for name, values in [(name, stacked[one]) for name, one in places] + list(self._buffers.items()):
            owner, _, own = name.rpartition(".")
            setattr(network.get_submodule(owner), own, values)
        return network

    def logits_one_each(self, weights: Weights, images: Tensor) -> Tensor:
        """(B, C) logits of B models with weights (B, ...), each on an image of its own (B, ...)."""
        if self.runs_by_itself:
            return self._own(weights, images.flatten(0, 1)[None])[:, 0]
        with sdpa_kernel(SDPBackend.MATH):
            logits: Tensor = vmap(lambda own, image: self._own(own, image[None])[0])(weights, images)
        return logits

    def _own(self, weights: Weights, images: Tensor) -> Tensor:
        constants = {name: _constant(buffer, images) for name, buffer in self._buffers.items()}
        logits: Tensor = functional_call(self.module, {**weights, **constants}, (images,))
        return logits

    def _vmapped(self, weights: Weights, images: Tensor) -> Tensor:
        with sdpa_kernel(SDPBackend.MATH):  # of the ways to attend, that which vmap knows
            logits: Tensor = vmap(self._own, in_dims=(0, None))(weights, images)
        return logits

    def _is_made_of_stacked_layers(self) -> bool:
        owners = [part for part in self.module.modules() if next(part.parameters(recurse=False), None) is not None]
        return all(isinstance(part, Conv2d | Linear) for part in owners)

    @torch.no_grad()
    def _gives_what_each_gives(self, two: Weights, images: Tensor) -> bool:
        each = torch.stack([self._own({name: w[i] for name, w in two.items()}, images) for i in range(2)])
        try:
            together = self._own(two, images)
        except (RuntimeError, IndexError, ValueError):  # shapes that hold for one model and not for several
            return False
        return together.shape == each.shape and torch.allclose(together, each, rtol=1e-3, atol=1e-4)

    @torch.no_grad()
    def _try_vmap(self, two: Weights, images: Tensor) -> None:
        before = {name: buffer.clone() for name, buffer in self._buffers.items()}
        try:
            self._vmapped(two, images)
        except RuntimeError as error:
            what = "draws at random in its forward pass" if "randomness" in str(error) else str(error).splitlines()[0]
            raise ValueError(
                f"model: {type(self.module).__name__} cannot be run in a stack of trials: {what}"
            ) from error
        for name, buffer in self._buffers.items():
            if not torch.equal(buffer, before[name]):
                raise ValueError(
                    f"model: {type(self.module).__name__} changes its buffer {name} in its forward pass, which all "
                    "trials of a stack share: build the model without it"
                )


def _constant(buffer: Tensor, images: Tensor) -> Tensor:
    """The buffer where the images are and, if it holds fractions, in their precision."""
    return buffer.to(images) if buffer.is_floating_point() else buffer.to(images.device)
