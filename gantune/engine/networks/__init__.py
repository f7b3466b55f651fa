"""Networks by name."""

from gantune.config import TrialConfig
from gantune.engine.networks.base import Network, Shape
from gantune.engine.networks.mlp import mlp_discriminator, mlp_generator

GENERATORS = {"mlp": mlp_generator}
DISCRIMINATORS = {"mlp": mlp_discriminator}


def build_generator(config: TrialConfig, sample_shape: Shape) -> Network:
    """The generator of a trial: (B, latent_dim) -> (B, *sample_shape)."""
    return GENERATORS[config.generator.name](config.generator, sample_shape)


def build_discriminator(config: TrialConfig, sample_shape: Shape) -> Network:
    """The discriminator of a trial: (B, *sample_shape) -> (B,) logits."""
    options = config.discriminator
    return DISCRIMINATORS[options.name](options, sample_shape)
