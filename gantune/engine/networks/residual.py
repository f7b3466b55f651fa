"""Residual networks."""

import torch
from torch import Tensor

from gantune.engine.networks.base import Shape
from gantune.engine.networks.common import activation, entrance, norm, output, spread
from gantune.engine.networks.layers import (
    Apply,
    Chain,
    Dropout,
    Layer,
    Reshape,
    Residual,
    halve,
    upsample,
)
from gantune.engine.networks.weights import Conv, Linear, SelfAttention
from gantune.parts.networks import (
    DenseResidualDiscriminator,
    ResnetDiscriminator,
    ResnetGenerator,
)
from gantune.parts.sizes import smallest_map

MOST_DOUBLINGS = 3
"""Channels double at most this often: 8 times ``features``."""


def _width(features: int, level: int) -> int:
    """Channels ``level`` halvings away from the image."""
    return features << min(level, MOST_DOUBLINGS)


def resnet_generator(options: ResnetGenerator, sample_shape: Shape) -> Chain:
    """Builds a residual generator: (B, latent_dim) -> (B, *sample_shape).

    Blocks of norm, activation, upsampling, convolution, norm, activation, convolution beside an
    upsampled 1x1 path (Gulrajani et al. 2017, arXiv 1704.00028, appendix F).
    """
    channels, size, _ = sample_shape
    smallest, doublings = smallest_map(size)
    init, eps, bias = options.init, options.norm_eps, options.norm != "batch"
    act = activation(options.activation, options.negative_slope)
    width = _width(options.features, doublings - 1)
    layers: list[Layer] = [
        Linear("0", options.latent_dim, width * smallest**2, init),
        Reshape(width, smallest, smallest),
    ]
    for i in range(1, doublings + 1):
        out, name = _width(options.features, max(doublings - 1 - i, 0)), f"{i}"
        branch: tuple[Layer, ...] = (
            *norm(options.norm, f"{name}.a.norm", width, eps, init),
            act,
            Apply(upsample),
            Conv(f"{name}.a", width, out, 3, init, padding=1, bias=bias),
            *norm(options.norm, f"{name}.b.norm", out, eps, init),
            act,
            Conv(f"{name}.b", out, out, 3, init, padding=1, bias=bias),
        )
        skip = (Apply(upsample), Conv(f"{name}.skip", width, out, 1, init, bias=False))
        layers.append(Residual(Chain(branch), Chain(skip)))
        width = out
    layers += [
        *norm(options.norm, "last.norm", width, eps, init),
        act,
        Conv("last", width, channels, 3, init, padding=1),
        output(options, sample_shape),
    ]
    return Chain(tuple(layers))


def resnet_discriminator(options: ResnetDiscriminator, sample_shape: Shape) -> Chain:
    """Builds a residual discriminator: (B, *sample_shape) -> (B / pack,) logits.

    Blocks of activation, convolution, activation, convolution, average pooling beside a pooled 1x1
    path; the sum over the last map goes to a linear layer (Miyato et al. 2018, arXiv 1802.05957,
    table 4).
    """
    channels, size, _ = sample_shape
    _, halvings = smallest_map(size)
    init, spectral = options.init, options.norm == "spectral"
    act = activation(options.activation, options.negative_slope)
    layers: list[Layer] = entrance(options)
    width = channels * options.pack
    for i in range(halvings):
        out, name = _width(options.features, i), f"{i}"
        branch: tuple[Layer, ...] = (
            *((act,) if i > 0 else ()),
            Conv(f"{name}.a", width, out, 3, init, padding=1, spectral=spectral),
            act,
            Conv(f"{name}.b", out, out, 3, init, padding=1, spectral=spectral),
            Apply(halve),
        )
        skip = (
            Apply(halve),
            Conv(f"{name}.skip", width, out, 1, init, bias=False, spectral=spectral),
        )
        layers.append(Residual(Chain(branch), Chain(skip)))
        width = out
    layers += [
        act,
        *spread(options),
        Apply(_sum_over_places),
        Linear("last", width + options.minibatch_std, 1, init, spectral=spectral),
        Reshape(),
    ]
    return Chain(tuple(layers))


def dense_residual_discriminator(options: DenseResidualDiscriminator, sample_shape: Shape) -> Chain:
    """Builds fastai's ``gan_critic``: (B, *sample_shape) -> (B / pack,) logits.

    A strided convolution, a residual block that concatenates, then dropout and strided
    convolutions (the first with self-attention), all with spectral norm. As deep as the image
    needs, so that there is one logit per image.
    """
    channels, size, _ = sample_shape
    smallest, halvings = smallest_map(size)
    init, spectral = options.init, options.norm == "spectral"
    act = activation(options.activation, options.negative_slope)

    def conv(name: str, inputs: int, outputs: int, kernel: int, stride: int) -> Conv:
        padding = 1
        return Conv(
            name, inputs, outputs, kernel, init, stride=stride, padding=padding, spectral=spectral
        )

    width = options.features
    block = (conv("dense.a", width, width, 3, 1), act, conv("dense.b", width, width, 3, 1), act)
    layers: list[Layer] = [
        *entrance(options),
        conv("0", channels * options.pack, width, 4, 2),
        act,
        *_dropout("0.dropout", options.dropout / 2, width),
        Residual(Chain(block), Chain(()), join=_concatenate),
    ]
    width *= 2
    for i in range(1, halvings):
        layers += _dropout(f"{i}.dropout", options.dropout, width)
        layers += [conv(f"{i}", width, 2 * width, 4, 2), act]
        width *= 2
        if i == 1 and options.self_attention:
            layers.append(SelfAttention("attention", width, init, spectral=spectral))
    inputs = width + options.minibatch_std
    layers += [
        *spread(options),
        Conv("last", inputs, 1, smallest, init, bias=False, spectral=spectral),
        Reshape(),
    ]
    return Chain(tuple(layers))


def _dropout(name: str, rate: float, width: int) -> list[Layer]:
    """Drops whole channels."""
    return [Dropout(name, rate, (width, 1, 1))] if rate else []


def _concatenate(skip: Tensor, branch: Tensor) -> Tensor:
    return torch.cat([branch, skip], 1)


def _sum_over_places(x: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, C)."""
    return x.sum((2, 3))
