"""Networks by name."""

from collections.abc import Callable
from functools import partial
from typing import Any

from gantune.config import TrialConfig
from gantune.engine.networks.base import Network, Shape
from gantune.engine.networks.conv import conv_discriminator, conv_generator
from gantune.engine.networks.mlp import maxout_discriminator, mlp_discriminator, mlp_generator
from gantune.engine.networks.module import ModuleNetwork
from gantune.engine.networks.residual import (
    dense_residual_discriminator,
    resnet_discriminator,
    resnet_generator,
)
from gantune.engine.networks.upsample import upsample_discriminator, upsample_generator
from gantune.errors import UsageError
from gantune.parts.foreign import EXTRAS
from gantune.parts.networks import Discriminator, Generator

Build = Callable[[Any, Shape], Network]
"""(options, shape of a sample) -> network."""

GENERATORS: dict[str, Build] = {
    "mlp": mlp_generator,
    "dcgan": conv_generator,
    "upsample": upsample_generator,
    "basic": conv_generator,
    "resnet": resnet_generator,
}
DISCRIMINATORS: dict[str, Build] = {
    "mlp": mlp_discriminator,
    "dcgan": conv_discriminator,
    "upsample": upsample_discriminator,
    "basic": conv_discriminator,
    "resnet": resnet_discriminator,
    "dense_residual": dense_residual_discriminator,
    "maxout": maxout_discriminator,
}


def build_generator(config: TrialConfig, sample_shape: Shape) -> Network:
    """The generator of a trial: (B, latent_dim) -> (B, *sample_shape)."""
    return _build("generator", GENERATORS, config.generator, sample_shape)


def build_discriminator(config: TrialConfig, sample_shape: Shape) -> Network:
    """The discriminator of a trial: (B, *sample_shape) -> (B / pack,) logits."""
    return _build("discriminator", DISCRIMINATORS, config.discriminator, sample_shape)


def _build(
    kind: str, built_in: dict[str, Build], options: Generator | Discriminator, shape: Shape
) -> Network:
    if options.name in built_in:
        return built_in[options.name](options, shape)
    extra = EXTRAS[kind].get(options.name)
    if extra is None:
        message = f"{kind} {options.name} is of an extension that is not loaded"
        raise UsageError(f"{message}; in Python run.best().generator() loads it")
    return ModuleNetwork(partial(extra.make, options, shape), options.name)
