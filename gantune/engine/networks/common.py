"""What builders of networks share: activations, norms by option, the way from size to size."""

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from gantune.engine.networks.base import Shape
from gantune.engine.networks.layers import Apply, Layer, MinibatchStd, Pack
from gantune.engine.networks.norms import NORMS
from gantune.parts.networks import Discriminator, Generator

OUTPUTS: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": torch.tanh,
    # Samples are in [-1, 1] at every boundary; a sigmoid's (0, 1) is converted inside.
    "sigmoid": lambda x: 2 * torch.sigmoid(x) - 1,
    "linear": lambda x: x,
}


def activation(name: str, slope: float) -> Apply:
    """The activation layer of an option."""
    functions: dict[str, Callable[[Tensor], Tensor]] = {
        "leaky_relu": partial(F.leaky_relu, negative_slope=slope),
        "relu": torch.relu,
        "tanh": torch.tanh,
        "silu": F.silu,
    }
    return Apply(functions[name])


def output(options: Generator, sample_shape: Shape) -> Apply:
    """The last activation of a generator."""
    default = "tanh" if len(sample_shape) == 3 else "linear"
    return Apply(OUTPUTS[options.output or default])


def norm(kind: str, name: str, width: int, eps: float, init: str) -> list[Layer]:
    """The norm of an option; none for ``none`` and for ``spectral``, which acts on weights."""
    return [NORMS[kind](name, width, eps, init)] if kind in NORMS else []


def entrance(options: Discriminator) -> list[Layer]:
    """What a discriminator does to samples before its first layer."""
    return [Pack(options.pack)] if options.pack > 1 else []


def spread(options: Discriminator) -> list[Layer]:
    """The minibatch's spread as one more feature, where it is wanted."""
    return [MinibatchStd()] if options.minibatch_std else []
