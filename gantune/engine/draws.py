"""Every random tensor of an epoch, from generators keyed on (trial seed, epoch, purpose).

No generator state has to be saved, and an epoch that is run again, elsewhere or in other company,
sees the same noise and the same batches.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple, Protocol

import torch
from torch import Tensor

from gantune.config import TrialConfig
from gantune.seeds import derive_seed


class Noise(Protocol):
    """Random tensors that a step asks for, too large to draw for a whole epoch.

    Each purpose has a generator of its own; it is the order of its calls that counts.
    """

    def uniform(self, purpose: str, shape: Sequence[int]) -> Tensor:
        """U(0, 1), with the axis of stacked trials in front of the shape where there is one."""
        ...

    def normal(self, purpose: str, shape: Sequence[int]) -> Tensor:
        """N(0, 1), likewise."""
        ...


class Draws(NamedTuple):
    """The random tensors of one epoch.

    Attributes:
        indices: (rounds * d_steps, B) rows of the training data, each pass in a new order.
        latents: (rounds * latents per round, B, latent_dim).
        noise: All others.
    """

    indices: Tensor
    latents: Tensor
    noise: Noise


def keyed_generator(device: torch.device, *keys: int | str) -> torch.Generator:
    """A generator that depends on the keys only."""
    return torch.Generator(device).manual_seed(derive_seed(*keys))


class KeyedNoise:
    """The noise of one epoch of one trial."""

    def __init__(self, device: torch.device, seed: int, epoch: int) -> None:
        self._device, self._keys = device, (seed, epoch)
        self._generators: dict[str, torch.Generator] = {}

    def uniform(self, purpose: str, shape: Sequence[int]) -> Tensor:
        """See :class:`Noise`."""
        return torch.rand(*shape, generator=self._generator(purpose), device=self._device)

    def normal(self, purpose: str, shape: Sequence[int]) -> Tensor:
        """See :class:`Noise`."""
        return torch.randn(*shape, generator=self._generator(purpose), device=self._device)

    def _generator(self, purpose: str) -> torch.Generator:
        if purpose not in self._generators:
            self._generators[purpose] = keyed_generator(self._device, *self._keys, purpose)
        return self._generators[purpose]


class StackedNoise:
    """The noise of one epoch of several trials, stacked along a new leading axis."""

    def __init__(self, noises: Sequence[Noise]) -> None:
        self._noises = noises

    def uniform(self, purpose: str, shape: Sequence[int]) -> Tensor:
        """See :class:`Noise`."""
        return torch.stack([noise.uniform(purpose, shape) for noise in self._noises])

    def normal(self, purpose: str, shape: Sequence[int]) -> Tensor:
        """See :class:`Noise`."""
        return torch.stack([noise.normal(purpose, shape) for noise in self._noises])


def stack_draws(draws: Sequence[Draws]) -> Draws:
    """Stacks the draws of several trials."""
    return Draws(
        torch.stack([one.indices for one in draws]),
        torch.stack([one.latents for one in draws]),
        StackedNoise([one.noise for one in draws]),
    )


def draw_latents(
    shape: tuple[int, ...], kind: Literal["normal", "uniform"], rng: torch.Generator
) -> Tensor:
    """Latents: N(0, 1) or U(-1, 1)."""
    if kind == "normal":
        return torch.randn(shape, generator=rng, device=rng.device)
    return torch.rand(shape, generator=rng, device=rng.device).mul_(2).sub_(1)


def draw_epoch(
    config: TrialConfig, rounds: int, size: int, seed: int, epoch: int, device: torch.device
) -> Draws:
    """Draws an epoch's indices and latents.

    Args:
        config: The trial.
        rounds: Rounds of the epoch.
        size: Number of training samples.
        seed: The trial's own seed.
        epoch: Counted from 1.
        device: Where the tensors live.
    """
    train, options = config.train, config.generator
    needed = rounds * train.d_steps * train.batch_size
    rng = keyed_generator(device, seed, epoch, "indices")
    passes = [torch.randperm(size, generator=rng, device=device) for _ in range(-(-needed // size))]
    indices = torch.cat(passes)[:needed].view(-1, train.batch_size)
    count = rounds * latents_per_round(config)
    rng = keyed_generator(device, seed, epoch, "latents")
    shape = (count, train.batch_size, options.latent_dim)
    latents = draw_latents(shape, options.latent, rng)
    return Draws(indices, latents, KeyedNoise(device, seed, epoch))


def latents_per_round(config: TrialConfig) -> int:
    """How many latent batches a round needs."""
    train = config.train
    return train.d_steps + train.g_steps - int(train.share_fake)
