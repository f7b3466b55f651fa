"""Convolutional networks: a pair in the manner of DCGAN and fastai's basic one.

The smallest map is 4 to 7 pixels wide; each layer doubles (or halves) it, and the channels with it,
until the image's size is reached.
"""

from gantune.engine.networks.base import Shape
from gantune.engine.networks.common import activation, entrance, norm, output, spread
from gantune.engine.networks.layers import Chain, Dropout, Layer, Reshape
from gantune.engine.networks.weights import Conv, ConvTranspose
from gantune.parts.networks import ConvDiscriminator, ConvGenerator
from gantune.parts.sizes import smallest_map


def after(options: ConvGenerator | ConvDiscriminator, name: str, width: int) -> list[Layer]:
    """Norm, activation and dropout behind a layer."""
    layers = norm(options.norm, f"{name}.norm", width, options.norm_eps, options.init)
    layers.append(activation(options.activation, options.negative_slope))
    if options.dropout:
        layers.append(Dropout(f"{name}.dropout", options.dropout, (width, 1, 1)))
    return layers


def conv_generator(options: ConvGenerator, sample_shape: Shape) -> Chain:
    """Builds DCGAN's generator: (B, latent_dim) -> (B, *sample_shape).

    A transposed convolution makes the smallest map, others double it (Radford et al. 2016, arXiv
    1511.06434, figure 1); ``extra_layers`` as in fastai's ``basic_generator``.
    """
    channels, size, _ = sample_shape
    smallest, doublings = smallest_map(size)
    bias, init = options.norm != "batch" or options.norm_bias, options.init
    width = options.features * 2 ** (doublings - 1)
    layers: list[Layer] = [
        Reshape(options.latent_dim, 1, 1),
        ConvTranspose("0", options.latent_dim, width, smallest, init, bias=bias),
        *after(options, "0", width),
    ]
    for i in range(1, doublings):
        layer = ConvTranspose(f"{i}", width, width // 2, 4, init, stride=2, padding=1, bias=bias)
        width //= 2
        layers += [layer, *after(options, f"{i}", width)]
    for i in range(options.extra_layers):
        name = f"extra{i}"
        layers.append(ConvTranspose(name, width, width, 3, init, padding=1, bias=bias))
        layers += after(options, name, width)
    layers += [
        ConvTranspose(f"{doublings}", width, channels, 4, init, stride=2, padding=1, bias=False),
        output(options, sample_shape),
    ]
    return Chain(tuple(layers))


def conv_discriminator(options: ConvDiscriminator, sample_shape: Shape) -> Chain:
    """Builds DCGAN's discriminator: (B, *sample_shape) -> (B / pack,) logits.

    Strided convolutions, the first without a norm; ``extra_layers`` as in fastai's
    ``basic_critic``.
    """
    channels, size, _ = sample_shape
    smallest, halvings = smallest_map(size)
    bias, init, spectral = options.norm != "batch", options.init, options.norm == "spectral"
    width = options.features
    layers: list[Layer] = [
        *entrance(options),
        Conv("0", channels * options.pack, width, 4, init, stride=2, padding=1, spectral=spectral),
        activation(options.activation, options.negative_slope),
    ]
    for i in range(options.extra_layers):
        name = f"extra{i}"
        layers.append(Conv(name, width, width, 3, init, padding=1, bias=bias, spectral=spectral))
        layers += after(options, name, width)
    for i in range(1, halvings):
        layers.append(
            Conv(
                f"{i}",
                width,
                2 * width,
                4,
                init,
                stride=2,
                padding=1,
                bias=bias,
                spectral=spectral,
            )
        )
        width *= 2
        layers += after(options, f"{i}", width)
    inputs = width + options.minibatch_std
    layers += [
        *spread(options),
        Conv(f"{halvings}", inputs, 1, smallest, init, bias=False, spectral=spectral),
        Reshape(),
    ]
    return Chain(tuple(layers))
