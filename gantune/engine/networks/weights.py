"""Layers with weights: linear, maxout, convolutions, self-attention."""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from gantune.engine.networks.base import Shape
from gantune.engine.networks.layers import Call, Plain

Initialise = Callable[[Shape, int, torch.Generator], Tensor]
"""(shape, fan-in, random numbers) -> initial weight."""

POWER_ITERATIONS = 15


def _uniform(shape: Shape, fan_in: int, rng: torch.Generator) -> Tensor:
    bound = 1 / math.sqrt(fan_in)
    return torch.empty(shape).uniform_(-bound, bound, generator=rng)


def _normal(shape: Shape, fan_in: int, rng: torch.Generator) -> Tensor:
    return torch.empty(shape).normal_(0, 0.02, generator=rng)


def _kaiming(shape: Shape, fan_in: int, rng: torch.Generator) -> Tensor:
    return torch.empty(shape).normal_(0, math.sqrt(2 / fan_in), generator=rng)


def _kaiming_uniform(shape: Shape, fan_in: int, rng: torch.Generator) -> Tensor:
    bound = math.sqrt(6 / fan_in)
    return torch.empty(shape).uniform_(-bound, bound, generator=rng)


INITIAL: dict[str, Initialise] = {
    "uniform": _uniform,
    "normal": _normal,
    "normal_zero": _normal,
    "kaiming": _kaiming,
    "kaiming_uniform": _kaiming_uniform,
}
"""PyTorch's default; DCGAN's; PacGAN's; He et al. 2015 (arXiv 1502.01852), normal and uniform."""


def _zero(shape: Shape, fan_in: int, rng: torch.Generator) -> Tensor:
    return torch.zeros(shape)


INITIAL_BIAS: dict[str, Initialise] = {
    "uniform": _uniform,
    "normal": _uniform,
    "normal_zero": _zero,
    "kaiming": _zero,
    "kaiming_uniform": _zero,
}


class _Weighted(Plain):
    """A weight, maybe a bias, maybe spectral norm."""

    def __init__(
        self,
        name: str,
        shape: Shape,
        fan_in: int,
        out: int,
        init: str,
        *,
        bias: bool,
        spectral: bool = False,
    ) -> None:
        self._weight, self._bias, self._u = f"{name}.weight", f"{name}.bias", f"{name}.u"
        self._shape, self._fan_in, self._out, self._init = shape, fan_in, out, init
        self._has_bias, self._spectral = bias, spectral

    def init(self, rng: torch.Generator) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """The weight as the option says; the bias as PyTorch's, 0 with He's and PacGAN's."""
        weight = INITIAL[self._init](self._shape, self._fan_in, rng)
        params, buffers = {self._weight: weight}, {}
        if self._has_bias:
            shape = (self._out,)
            params[self._bias] = INITIAL_BIAS[self._init](shape, self._fan_in, rng)
        if self._spectral:
            u = torch.randn(self._shape[0], generator=rng)
            for _ in range(POWER_ITERATIONS):
                u, _ = iterate(weight.flatten(1), u)
            buffers[self._u] = u
        return params, buffers

    def weight(self, call: Call) -> Tensor:
        """The weight as it is used."""
        weight = call.params[self._weight]
        if not self._spectral:
            return weight
        matrix, u = weight.flatten(1), call.buffers[self._u]
        # In full precision also where the rest is in bfloat16.
        with torch.autocast(weight.device.type, enabled=False):
            new, v = iterate(matrix.detach(), u)
            if call.train:
                call.buffers[self._u] = u = new
            # The gradient goes through the matrix, not through the singular vectors.
            return weight / torch.dot(u, matrix @ v)


@torch.no_grad()
def iterate(matrix: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
    """One power iteration (Miyato et al. 2018, arXiv 1802.05957, algorithm 1).

    Args:
        matrix: (m, n).
        u: (m,) estimate of the first left singular vector.

    Returns:
        The next u (m,), and v (n,) from the u that was given.
    """
    v = F.normalize(matrix.mT @ u, dim=0, eps=1e-12)
    return F.normalize(matrix @ v, dim=0, eps=1e-12), v


class Linear(_Weighted):
    """(B, inputs) -> (B, outputs)."""

    def __init__(
        self,
        name: str,
        inputs: int,
        outputs: int,
        init: str,
        *,
        bias: bool = True,
        spectral: bool = False,
    ) -> None:
        shape = (outputs, inputs)
        super().__init__(name, shape, inputs, outputs, init, bias=bias, spectral=spectral)

    def __call__(self, call: Call, x: Tensor) -> Tensor:
        """Applies the layer."""
        return F.linear(x, self.weight(call), call.params.get(self._bias))


class Conv(_Weighted):
    """(B, inputs, H, W) -> (B, outputs, H', W')."""

    def __init__(
        self,
        name: str,
        inputs: int,
        outputs: int,
        kernel: int,
        init: str,
        *,
        stride: int = 1,
        padding: int = 0,
        bias: bool = True,
        spectral: bool = False,
    ) -> None:
        shape, fan_in = (outputs, inputs, kernel, kernel), inputs * kernel**2
        super().__init__(name, shape, fan_in, outputs, init, bias=bias, spectral=spectral)
        self._stride, self._padding = stride, padding

    def __call__(self, call: Call, x: Tensor) -> Tensor:
        """Applies the layer."""
        bias = call.params.get(self._bias)
        return F.conv2d(x, self.weight(call), bias, self._stride, self._padding)


class ConvTranspose(_Weighted):
    """(B, inputs, H, W) -> (B, outputs, H', W'), the transpose of a convolution."""

    def __init__(
        self,
        name: str,
        inputs: int,
        outputs: int,
        kernel: int,
        init: str,
        *,
        stride: int = 1,
        padding: int = 0,
        bias: bool = True,
    ) -> None:
        # PyTorch takes the fan-in of a transposed convolution from its output channels.
        shape, fan_in = (inputs, outputs, kernel, kernel), outputs * kernel**2
        super().__init__(name, shape, fan_in, outputs, init, bias=bias)
        self._stride, self._padding = stride, padding

    def __call__(self, call: Call, x: Tensor) -> Tensor:
        """Applies the layer."""
        bias = call.params.get(self._bias)
        return F.conv_transpose2d(x, self.weight(call), bias, self._stride, self._padding)


class Maxout(Linear):
    """Largest of several linear functions per unit (Goodfellow et al. 2013)."""

    def __init__(self, name: str, inputs: int, outputs: int, pieces: int, init: str) -> None:
        super().__init__(name, inputs, outputs * pieces, init)
        self._pieces = pieces

    def __call__(self, call: Call, x: Tensor) -> Tensor:
        """(B, inputs) -> (B, outputs)."""
        pieces: Tensor = super().__call__(call, x).unflatten(1, (-1, self._pieces))
        return pieces.amax(2)


class SelfAttention(Plain):
    """Attention between places of an image, starting at none (Zhang et al. 2019)."""

    def __init__(self, name: str, channels: int, init: str, *, spectral: bool) -> None:
        inner = max(channels // 8, 1)
        self._gamma = f"{name}.gamma"

        def path(which: str, width: int) -> Conv:
            return Conv(f"{name}.{which}", channels, width, 1, init, bias=False, spectral=spectral)

        self._query, self._key = path("query", inner), path("key", inner)
        self._value = path("value", channels)

    def init(self, rng: torch.Generator) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Its weight starts at 0: the layer begins as the identity."""
        params: dict[str, Tensor] = {self._gamma: torch.zeros(())}
        buffers: dict[str, Tensor] = {}
        for path in (self._query, self._key, self._value):
            more, more_buffers = path.init(rng)
            params |= more
            buffers |= more_buffers
        return params, buffers

    def __call__(self, call: Call, x: Tensor) -> Tensor:
        """(B, C, H, W) -> the same shape."""
        query, key = self._query(call, x).flatten(2), self._key(call, x).flatten(2)
        weights = (query.mT @ key).softmax(1)
        attended: Tensor = (self._value(call, x).flatten(2) @ weights).unflatten(2, x.shape[2:])
        return call.params[self._gamma] * attended + x
