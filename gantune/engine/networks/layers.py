"""Layers as functions of named tensors, and networks as chains of them.

A layer holds its names and sizes; weights, statistics and random numbers come with each call. It
changes nothing that it is given: new statistics go to the call's own dictionary of buffers.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from gantune.engine.networks.base import Shape, Tensors

NO_NOISE: Tensors = {}


@dataclass(slots=True)
class Call:
    """One application of a network.

    Attributes:
        params: Parameters by name.
        buffers: Running statistics by name; a layer replaces its own.
        noise: U(0, 1) tensors by name; empty outside of training.
        train: Whether layers behave as in training.
    """

    params: Tensors
    buffers: dict[str, Tensor]
    noise: Tensors
    train: bool


class Layer(Protocol):
    """A part of a network."""

    def init(self, rng: torch.Generator) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Initial parameters and buffers, by name."""
        ...

    def noise_shapes(self, batch: int) -> dict[str, Shape]:
        """Shapes of the U(0, 1) tensors that it needs in training."""
        ...

    @property
    def couples_samples(self) -> bool:
        """Whether it mixes the samples of a batch in training."""
        ...

    def batch_after(self, batch: int) -> int:
        """Length of the batch that it makes of a batch."""
        ...

    def __call__(self, call: Call, x: Tensor) -> Tensor:
        """Applies the layer."""
        ...


class Plain:
    """A layer without parameters, statistics or noise."""

    couples_samples = False

    def init(self, rng: torch.Generator) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Nothing."""
        return {}, {}

    def noise_shapes(self, batch: int) -> dict[str, Shape]:
        """None."""
        return {}

    def batch_after(self, batch: int) -> int:
        """The same."""
        return batch

    def __call__(self, call: Call, x: Tensor) -> Tensor:
        """Applies the layer."""
        raise NotImplementedError


@dataclass(frozen=True)
class Chain:
    """Layers one after the other; a network, or a part of one."""

    layers: tuple[Layer, ...]

    @property
    def couples_samples(self) -> bool:
        """Whether any layer does."""
        return any(layer.couples_samples for layer in self.layers)

    def init(self, rng: torch.Generator) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Initial parameters and buffers of all layers, in order."""
        params: dict[str, Tensor] = {}
        buffers: dict[str, Tensor] = {}
        for layer in self.layers:
            more, more_buffers = layer.init(rng)
            assert not params.keys() & more.keys(), "two layers of one name"
            params |= more
            buffers |= more_buffers
        return params, buffers

    def noise_shapes(self, batch: int) -> dict[str, Shape]:
        """The noise of all layers."""
        shapes: dict[str, Shape] = {}
        for layer in self.layers:
            shapes |= layer.noise_shapes(batch)
            batch = layer.batch_after(batch)
        return shapes

    def apply(self, call: Call, x: Tensor) -> Tensor:
        """Applies the layers within a call."""
        for layer in self.layers:
            x = layer(call, x)
        return x

    def __call__(
        self,
        params: Tensors,
        buffers: Tensors,
        x: Tensor,
        noise: Tensors = NO_NOISE,
        *,
        train: bool,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Applies the network; see :class:`gantune.engine.networks.base.Network`."""
        call = Call(params, dict(buffers), noise, train)
        for layer in self.layers:
            x = layer(call, x)
        return x, call.buffers


class Apply(Plain):
    """A function of the activations alone."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        self._function = function

    def __call__(self, call: Call, x: Tensor) -> Tensor:
        """Applies the function."""
        return self._function(x)


class Reshape(Plain):
    """Gives each sample a shape; () for one number per sample."""

    def __init__(self, *shape: int) -> None:
        self._shape = shape

    def __call__(self, call: Call, x: Tensor) -> Tensor:
        """(B, ...) -> (B, *shape)."""
        return x.reshape(x.shape[0], *self._shape)


class Pack(Plain):
    """Joins neighbours of a batch along the channels (PacGAN, arXiv 1712.04086, section 3)."""

    def __init__(self, size: int) -> None:
        self._size = size

    def batch_after(self, batch: int) -> int:
        """The number of packs."""
        return batch // self._size

    def __call__(self, call: Call, x: Tensor) -> Tensor:
        """(B, C, ...) -> (B / size, size * C, ...)."""
        return x.reshape(x.shape[0] // self._size, self._size * x.shape[1], *x.shape[2:])


class MinibatchStd(Plain):
    """Appends the mean standard deviation of the features over the batch (Karras et al. 2018)."""

    couples_samples = True

    def __call__(self, call: Call, x: Tensor) -> Tensor:
        """(B, C, ...) -> (B, C + 1, ...)."""
        spread = (x.var(0, correction=0) + 1e-8).sqrt().mean()
        return torch.cat([x, spread.expand(x.shape[0], 1, *x.shape[2:])], 1)


class Dropout(Plain):
    """Sets activations to zero where U(0, 1) noise from outside is below the rate."""

    def __init__(self, name: str, rate: float, shape: Shape) -> None:
        """Makes a layer.

        Args:
            name: Of its noise.
            rate: Share that is set to zero.
            shape: Of one sample's mask: (C, 1, 1) drops whole channels.
        """
        self._name, self._rate, self._shape = name, rate, shape

    def noise_shapes(self, batch: int) -> dict[str, Shape]:
        """One number per unit of the mask."""
        return {self._name: (batch, *self._shape)}

    def __call__(self, call: Call, x: Tensor) -> Tensor:
        """Scales what is kept, so that the mean stays."""
        if not call.train:
            return x
        kept = call.noise[self._name] >= self._rate
        return x * kept / (1 - self._rate)


@dataclass(frozen=True)
class Residual:
    """Two paths whose outputs are joined."""

    branch: Chain
    skip: Chain
    join: Callable[[Tensor, Tensor], Tensor] = torch.add

    @property
    def couples_samples(self) -> bool:
        """Whether either path does."""
        return self.branch.couples_samples or self.skip.couples_samples

    def init(self, rng: torch.Generator) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Initial values of both paths."""
        params, buffers = self.branch.init(rng)
        more, more_buffers = self.skip.init(rng)
        return params | more, buffers | more_buffers

    def noise_shapes(self, batch: int) -> dict[str, Shape]:
        """Noise of both paths."""
        return self.branch.noise_shapes(batch) | self.skip.noise_shapes(batch)

    def batch_after(self, batch: int) -> int:
        """The same."""
        return batch

    def __call__(self, call: Call, x: Tensor) -> Tensor:
        """Applies both paths to the same activations."""
        return self.join(self.skip.apply(call, x), self.branch.apply(call, x))


def upsample(x: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, C, 2H, 2W), nearest neighbour."""
    return F.interpolate(x, scale_factor=2.0, mode="nearest")


def halve(x: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, C, H/2, W/2), average."""
    return F.avg_pool2d(x, 2)
