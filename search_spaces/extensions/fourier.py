"""An extension: a generator of points that sees its latents as waves, a loss and a metric.

A study names this file under ``extensions``; its parts are then parts like any other.
"""

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gantune import extend


class FourierOptions(extend.GeneratorOptions):
    """Options are typed, as those of gantune's own parts; each can be searched."""

    name: Literal["fourier"] = "fourier"
    waves: int = 16
    width: int = 128


class Fourier(nn.Module):
    """Sines and cosines of the latents, then two hidden layers."""

    def __init__(self, options: FourierOptions, sample_shape: tuple[int, ...]) -> None:
        """Builds the layers."""
        super().__init__()
        self.sample_shape = sample_shape
        self.register_buffer("frequencies", torch.randn(options.latent_dim, options.waves))
        self.layers = nn.Sequential(
            nn.Linear(2 * options.waves, options.width),
            nn.ReLU(),
            nn.Linear(options.width, options.width),
            nn.ReLU(),
            nn.Linear(options.width, math.prod(sample_shape)),
        )

    def forward(self, z: Tensor) -> Tensor:
        """(B, latent_dim) -> (B, *sample_shape)."""
        waves = z @ self.frequencies
        samples: Tensor = self.layers(torch.cat([waves.sin(), waves.cos()], 1))
        return samples.view(-1, *self.sample_shape)


@extend.generator(FourierOptions)
def fourier(options: FourierOptions, sample_shape: tuple[int, ...]) -> nn.Module:
    """Made once per trial, with the trial's own initial values."""
    return Fourier(options, sample_shape)


class TemperedOptions(extend.LossOptions):
    """The non-saturating loss on logits over a temperature."""

    name: Literal["tempered"] = "tempered"
    temperature: float = 1.0


@extend.loss(TemperedOptions)
def tempered(options: TemperedOptions) -> extend.Loss:
    """Losses are functions of logits (..., B) that reduce over the last axis."""

    def discriminator(real: Tensor, fake: Tensor) -> extend.DiscriminatorLoss:
        on_real = F.softplus(-real / options.temperature).mean(-1)
        on_fake = F.softplus(fake / options.temperature).mean(-1)
        return extend.DiscriminatorLoss((on_real + on_fake) / 2, on_real, on_fake)

    def generator(fake: Tensor, real: Tensor | None) -> Tensor:
        return F.softplus(-fake / options.temperature).mean(-1)

    return extend.Loss(discriminator, generator, threshold=0.0)


@extend.metric("radius_error", goal="minimize")
def radius_error(samples: Tensor) -> float:
    """How far samples are from the ring of radius 1, on average."""
    return float((samples.norm(dim=1) - 1).abs().mean())
