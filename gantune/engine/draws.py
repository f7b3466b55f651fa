"""Every random tensor of an epoch, drawn before it starts.

Draws are keyed on (trial seed, epoch, purpose): no generator state has to be saved, and an epoch
that is run again, elsewhere or in other company, sees the same noise and the same batches.
"""

from typing import Literal, NamedTuple

import torch
from torch import Tensor

from gantune.config import TrialConfig
from gantune.seeds import derive_seed


class Draws(NamedTuple):
    """The random tensors of one epoch.

    Attributes:
        indices: (rounds * d_steps, B) rows of the training data, each pass in a new order.
        latents: (rounds * latents per round, B, latent_dim).
        mix: (rounds * d_steps, B) from U(0, 1), for penalties between samples.
    """

    indices: Tensor
    latents: Tensor
    mix: Tensor


def keyed_generator(device: torch.device, *keys: int | str) -> torch.Generator:
    """A generator that depends on the keys only."""
    return torch.Generator(device).manual_seed(derive_seed(*keys))


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
    rng_mix = keyed_generator(device, seed, epoch, "mix")
    mix = torch.rand(indices.shape, generator=rng_mix, device=device)
    return Draws(indices, draw_latents(shape, options.latent, rng), mix)


def latents_per_round(config: TrialConfig) -> int:
    """How many latent batches a round needs."""
    train = config.train
    return train.d_steps + train.g_steps - int(train.share_fake)
