"""Fully connected networks."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor

from gantune.engine.networks.base import Shape, Tensors
from gantune.parts import MlpDiscriminator, MlpGenerator

ACTIVATIONS: dict[str, Callable[[Tensor, float], Tensor]] = {
    "leaky_relu": F.leaky_relu,
    "relu": lambda x, slope: torch.relu(x),
    "tanh": lambda x, slope: torch.tanh(x),
}

OUTPUTS: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": torch.tanh,
    # Samples are in [-1, 1] at every boundary; a sigmoid's (0, 1) is converted inside.
    "sigmoid": lambda x: 2 * torch.sigmoid(x) - 1,
    "linear": lambda x: x,
}

BATCH_NORM_MOMENTUM = 0.1


@dataclass(frozen=True)
class Mlp:
    """Linear layers with an activation between them.

    Attributes:
        widths: Sizes of input, hidden layers and output.
        normed: Indices of the linear layers that batch norm follows (they have no bias).
        activation: Name of the activation between layers.
        slope: Negative slope of a leaky ReLU.
        norm_eps: Added to the variance by batch norm.
        output: Name of the activation at the end.
        sample_shape: Shape of one output; () for a logit per sample.
    """

    widths: tuple[int, ...]
    normed: frozenset[int]
    activation: str
    slope: float
    norm_eps: float
    output: str
    sample_shape: Shape

    @property
    def shapes(self) -> dict[str, Shape]:
        """Parameter shapes in order of application."""
        shapes: dict[str, Shape] = {}
        for i, (fan_in, fan_out) in enumerate(pairwise(self.widths)):
            shapes[f"{i}.weight"] = (fan_out, fan_in)
            if i in self.normed:
                shapes |= {f"{i}.norm.weight": (fan_out,), f"{i}.norm.bias": (fan_out,)}
            else:
                shapes[f"{i}.bias"] = (fan_out,)
        return shapes

    def init(self, rng: torch.Generator) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """PyTorch's initial values of ``nn.Linear``: U(-1/sqrt(fan_in), 1/sqrt(fan_in))."""
        params: dict[str, Tensor] = {}
        buffers: dict[str, Tensor] = {}
        for name, shape in self.shapes.items():
            layer = int(name.split(".")[0])
            if "norm" in name:
                params[name] = torch.full(shape, float(name.endswith("weight")))
                buffers[f"{layer}.mean"] = torch.zeros(shape)
                buffers[f"{layer}.var"] = torch.ones(shape)
            else:
                bound = 1 / math.sqrt(self.widths[layer])
                params[name] = torch.empty(shape).uniform_(-bound, bound, generator=rng)
        return params, buffers

    def __call__(
        self, params: Tensors, buffers: Tensors, x: Tensor, *, train: bool
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Maps (B, ...) to (B, *sample_shape)."""
        activate = ACTIVATIONS[self.activation]
        hidden, changed = x.flatten(1), dict(buffers)
        last = len(self.widths) - 2
        for i in range(last + 1):
            hidden = F.linear(hidden, params[f"{i}.weight"], params.get(f"{i}.bias"))
            if i in self.normed:
                # batch_norm writes into the statistics it is given: give it copies to keep.
                mean, var = buffers[f"{i}.mean"], buffers[f"{i}.var"]
                if train:
                    mean, var = mean.clone(), var.clone()
                    changed |= {f"{i}.mean": mean, f"{i}.var": var}
                scale, shift = params[f"{i}.norm.weight"], params[f"{i}.norm.bias"]
                hidden = F.batch_norm(
                    hidden, mean, var, scale, shift, train, BATCH_NORM_MOMENTUM, self.norm_eps
                )
            if i < last:
                hidden = activate(hidden, self.slope)
        return OUTPUTS[self.output](hidden).reshape(-1, *self.sample_shape), changed


def mlp_generator(options: MlpGenerator, sample_shape: Shape) -> Mlp:
    """Builds a generator: (B, latent_dim) -> (B, *sample_shape)."""
    hidden = options.hidden
    # As in the tutorials, batch norm follows every hidden layer but the first.
    normed = frozenset(range(1, len(hidden))) if options.norm == "batch" else frozenset()
    default_output = "tanh" if len(sample_shape) == 3 else "linear"
    return Mlp(
        widths=(options.latent_dim, *hidden, math.prod(sample_shape)),
        normed=normed,
        activation=options.activation,
        slope=options.negative_slope,
        norm_eps=options.norm_eps,
        output=options.output or default_output,
        sample_shape=sample_shape,
    )


def mlp_discriminator(options: MlpDiscriminator, sample_shape: Shape) -> Mlp:
    """Builds a discriminator: (B, *sample_shape) -> (B,) logits."""
    return Mlp(
        widths=(math.prod(sample_shape), *options.hidden, 1),
        normed=frozenset(),
        activation=options.activation,
        slope=options.negative_slope,
        norm_eps=0.0,
        output="linear",
        sample_shape=(),
    )
