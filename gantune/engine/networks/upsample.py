"""The convolutional pair of PyTorch-GAN's ``dcgan.py``: upsampling instead of transposes."""

from gantune.engine.networks.base import Shape
from gantune.engine.networks.common import activation, entrance, norm, output, spread
from gantune.engine.networks.conv import after
from gantune.engine.networks.layers import Apply, Chain, Dropout, Layer, Reshape, upsample
from gantune.engine.networks.weights import Conv, Linear
from gantune.parts.networks import UpsampleDiscriminator, UpsampleGenerator

FIRST_NORM_EPS = 1e-5
HALVINGS = 4


def upsample_generator(options: UpsampleGenerator, sample_shape: Shape) -> Chain:
    """Builds PyTorch-GAN's DCGAN generator: (B, latent_dim) -> (B, *sample_shape).

    A linear layer makes a map of a quarter of the size; twice upsampling and a 3x3 convolution.
    """
    channels, size, _ = sample_shape
    quarter, width, init = size // 4, 2 * options.features, options.init
    bias = options.norm != "batch" or options.norm_bias
    layers: list[Layer] = [
        Linear("0", options.latent_dim, width * quarter**2, "uniform"),
        Reshape(width, quarter, quarter),
        *norm(options.norm, "0.norm", width, FIRST_NORM_EPS, init),
        Apply(upsample),
        Conv("1", width, width, 3, init, padding=1, bias=bias),
        *after(options, "1", width),
        Apply(upsample),
        Conv("2", width, width // 2, 3, init, padding=1, bias=bias),
        *after(options, "2", width // 2),
    ]
    for i in range(options.extra_layers):
        name = f"extra{i}"
        layers.append(Conv(name, width // 2, width // 2, 3, init, padding=1, bias=bias))
        layers += after(options, name, width // 2)
    layers += [
        Conv("3", width // 2, channels, 3, init, padding=1),
        output(options, sample_shape),
    ]
    return Chain(tuple(layers))


def upsample_discriminator(options: UpsampleDiscriminator, sample_shape: Shape) -> Chain:
    """Builds PyTorch-GAN's DCGAN discriminator: (B, *sample_shape) -> (B / pack,) logits.

    Four strided 3x3 convolutions, each with activation, dropout of channels and then (but for the
    first) the norm; a linear layer.
    """
    channels, size, _ = sample_shape
    init, is_spectral = options.init, options.norm == "spectral"
    layers: list[Layer] = entrance(options)
    inputs = channels * options.pack
    for i in range(HALVINGS):
        width = options.features * 2**i
        layers += [
            Conv(f"{i}", inputs, width, 3, init, stride=2, padding=1, spectral=is_spectral),
            activation(options.activation, options.negative_slope),
        ]
        if options.dropout:
            layers.append(Dropout(f"{i}.dropout", options.dropout, (width, 1, 1)))
        if i > 0:
            layers += norm(options.norm, f"{i}.norm", width, options.norm_eps, init)
        inputs, size = width, -(-size // 2)
    features = (inputs + options.minibatch_std) * size**2
    layers += [
        *spread(options),
        Reshape(-1),
        Linear("last", features, 1, "uniform", spectral=is_spectral),
        Reshape(),
    ]
    return Chain(tuple(layers))
