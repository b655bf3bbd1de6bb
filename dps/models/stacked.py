"""One network run for several models at once.

Shapes: S models in a stack, B batch, C classes. Weights are dictionaries by parameter name of stacks (S, ...).
"""

import copy
from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

from dps.models.initialise import built
from dps.models.layers import Conv2d, Linear
from dps.models.stackable import refuse_changing_buffers, refuse_unstackable

Weights = dict[str, Tensor]


class Network(Protocol):
    """What can be run with weights that it does not hold."""

    def logits(self, weights: Weights, images: Tensor) -> Tensor:
        """(S, B, C) logits of S models with weights (S, ...), on the same images (B, ...)."""
        ...


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
        some = images[torch.arange(3, device=images.device) % len(images)]
        refuse_changing_buffers(self.module, some)
        self.names = [name for name, _ in self.module.named_parameters()]
        self._buffers = {name: constant(buffer, images) for name, buffer in self.module.named_buffers()}
        convolutions = [layer for layer in self.module.modules() if isinstance(layer, Conv2d)]
        for layer in convolutions:
            layer.products = products
        two = self._two_models(images)
        each = self._each(two, some)
        self.classes = each.shape[2]
        self.runs_by_itself = self._is_made_of_stacked_layers() and self._gives_each(two, some, each)
        if not self.runs_by_itself:
            for layer in convolutions:
                layer.memory_format = torch.preserve_format  # channels-last is not to be had under vmap
            self._try_vmap(two, some, each)

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
        constants = {name: constant(buffer, images) for name, buffer in self._buffers.items()}
        logits: Tensor = functional_call(self.module, {**weights, **constants}, (images,))
        return logits

    def _vmapped(self, weights: Weights, images: Tensor) -> Tensor:
        with sdpa_kernel(SDPBackend.MATH):  # of the ways to attend, that which vmap knows
            logits: Tensor = vmap(self._own, in_dims=(0, None))(weights, images)
        return logits

    def _is_made_of_stacked_layers(self) -> bool:
        owners = [part for part in self.module.modules() if next(part.parameters(recurse=False), None) is not None]
        return all(isinstance(part, Conv2d | Linear) for part in owners)

    @property
    def _name(self) -> str:
        return type(self.module).__name__

    def _two_models(self, images: Tensor) -> Weights:
        """Weights (2, ...) of two models, none of which is zero, as initial ones may be."""
        generator, found = torch.Generator().manual_seed(0), {}
        for name, values in zip(self.names, self.initial(0), strict=True):
            noise = torch.randn(2, *values.shape, generator=generator)
            found[name] = (values + 0.1 * noise).to(images)
        return found

    @torch.no_grad()
    def _each(self, two: Weights, images: Tensor) -> Tensor:
        """The logits (2, B, C) of two models, each alone; ValueError where more than weights and image decide them."""
        first, again, of_one = (
            [self._own({name: weights[i] for name, weights in two.items()}, some) for i in range(2)]
            for some in (images, images, images[:1])
        )
        if not isinstance(first[0], Tensor) or first[0].ndim != 2 or len(first[0]) != len(images):
            raise ValueError(f"model: {self._name} must return logits, one tensor of the shape (examples, classes)")
        if not _are_close(first[0], again[0]):
            raise ValueError(f"model: {self._name} draws at random in its forward pass: build it without randomness")
        if not _are_close(first[0][:1], of_one[0]):
            raise ValueError(
                f"model: {self._name} mixes the examples of a batch: build it so that each has its own answer"
            )
        return torch.stack(first)

    @torch.no_grad()
    def _gives_each(self, two: Weights, images: Tensor, each: Tensor) -> bool:
        """Whether two models run by themselves, together, give what each gives alone."""
        try:
            together = self._own(two, images)
        except (RuntimeError, IndexError, ValueError):  # shapes that hold for one model and not for several
            return False
        return together.shape == each.shape and _are_close(together, each)

    @torch.no_grad()
    def _try_vmap(self, two: Weights, images: Tensor, each: Tensor) -> None:
        """ValueError, with the reason, where two models do not give under vmap what each gives alone."""
        try:
            together = self._vmapped(two, images)
        except RuntimeError as error:
            reason = str(error).splitlines()[0]
            raise ValueError(f"model: {self._name} cannot run under torch.func.vmap: {reason}") from error
        if not _are_close(together, each):
            raise ValueError(f"model: {self._name} gives other answers under torch.func.vmap, so it cannot be stacked")


def _are_close(some: Tensor, others: Tensor) -> bool:
    return torch.allclose(some, others, rtol=1e-3, atol=1e-3 * float(others.abs().max()))


def constant(buffer: Tensor, images: Tensor) -> Tensor:
    """The buffer where the images are and, if both hold fractions, in their precision."""
    both = buffer.is_floating_point() and images.is_floating_point()
    return buffer.to(images) if both else buffer.to(images.device)
