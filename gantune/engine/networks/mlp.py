"""Fully connected networks."""

import math
from itertools import pairwise

from gantune.engine.networks.base import Shape
from gantune.engine.networks.common import activation, entrance, norm, output, spread
from gantune.engine.networks.layers import Apply, Chain, Dropout, Layer, Reshape
from gantune.engine.networks.norms import BatchNorm, LayerNorm
from gantune.engine.networks.weights import Linear, Maxout
from gantune.parts.networks import MaxoutDiscriminator, MlpDiscriminator, MlpGenerator

FLATTEN = Reshape(-1)


def mlp_generator(options: MlpGenerator, sample_shape: Shape) -> Chain:
    """Builds a generator: (B, latent_dim) -> (B, *sample_shape)."""
    layers: list[Layer] = []
    for i, (fan_in, fan_out) in enumerate(pairwise((options.latent_dim, *options.hidden))):
        # As in the tutorials, the norm follows every hidden layer but the first.
        is_normed = options.norm != "none" and (i > 0 or options.norm_first)
        # Batch norm takes any bias away again.
        bias = not (is_normed and options.norm == "batch") or options.norm_bias
        layers.append(Linear(f"{i}", fan_in, fan_out, options.init, bias=bias))
        if is_normed:
            layers.append(_norm(options, f"{i}.norm", fan_out))
        layers.append(activation(options.activation, options.negative_slope))
        if options.dropout:
            layers.append(Dropout(f"{i}.dropout", options.dropout, (fan_out,)))
    last = len(options.hidden)
    layers += [
        Linear(f"{last}", options.hidden[-1], math.prod(sample_shape), options.init),
        output(options, sample_shape),
        Reshape(*sample_shape),
    ]
    return Chain(tuple(layers))


def _norm(options: MlpGenerator, name: str, width: int) -> Layer:
    if options.norm == "batch":
        return BatchNorm(name, width, options.norm_eps, options.init, options.norm_momentum)
    return LayerNorm(name, width, options.norm_eps, options.init)


def mlp_discriminator(options: MlpDiscriminator, sample_shape: Shape) -> Chain:
    """Builds a discriminator: (B, *sample_shape) -> (B / pack,) logits."""
    layers: list[Layer] = [*entrance(options), FLATTEN]
    if options.unit_input:
        layers.append(Apply(lambda x: (x + 1) / 2))
    is_spectral, init = options.norm == "spectral", options.init
    width = math.prod(sample_shape) * options.pack
    for i, (fan_in, fan_out) in enumerate(pairwise((width, *options.hidden))):
        is_normed = options.norm != "none" and i > 0
        bias = not (is_normed and options.norm == "batch")
        layers.append(Linear(f"{i}", fan_in, fan_out, init, bias=bias, spectral=is_spectral))
        if is_normed:
            layers += norm(options.norm, f"{i}.norm", fan_out, options.norm_eps, init)
        layers.append(activation(options.activation, options.negative_slope))
        if options.dropout:
            layers.append(Dropout(f"{i}.dropout", options.dropout, (fan_out,)))
    last, inputs = len(options.hidden), options.hidden[-1] + options.minibatch_std
    layers += [
        *spread(options),
        Linear(f"{last}", inputs, 1, init, spectral=is_spectral),
        Reshape(),
    ]
    return Chain(tuple(layers))


def maxout_discriminator(options: MaxoutDiscriminator, sample_shape: Shape) -> Chain:
    """Builds PacGAN's discriminator: (B, *sample_shape) -> (B / pack,) logits."""
    layers: list[Layer] = [*entrance(options), FLATTEN]
    width = math.prod(sample_shape) * options.pack
    for i, (fan_in, fan_out) in enumerate(pairwise((width, *options.hidden))):
        layers.append(Maxout(f"{i}", fan_in, fan_out, options.pieces, options.init))
    last, inputs = len(options.hidden), options.hidden[-1] + options.minibatch_std
    layers += [*spread(options), Linear(f"{last}", inputs, 1, options.init), Reshape()]
    return Chain(tuple(layers))
