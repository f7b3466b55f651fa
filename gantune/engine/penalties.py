"""Penalties on the discriminator: functions of it and of samples, apart from losses.

Gradients with respect to samples are taken outside of networks, and norms over the sample's axes
only, so that the same code serves stacked trials.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from gantune.engine.state import Player

Critic = Callable[[Tensor], Tensor]
"""(..., B, *sample) -> (..., B) logits, differentiable in its argument."""

PenaltyTerm = Callable[[Critic, Tensor, Tensor, Tensor | None], Tensor]
"""(critic, real, fake, mix) -> (...,) term before its weight; ``mix`` is (..., B) from U(0, 1)."""


def _gradient_norms(critic: Critic, samples: Tensor) -> Tensor:
    """(..., B) norms of the critic's gradient at each sample."""
    samples = samples.detach().requires_grad_()
    logits = critic(samples)
    (gradient,) = torch.autograd.grad(logits.sum(), samples, create_graph=True)
    norms: Tensor = torch.linalg.vector_norm(gradient.flatten(logits.dim()), dim=-1)
    return norms


def r1(critic: Critic, real: Tensor, fake: Tensor, mix: Tensor | None) -> Tensor:
    """E ||grad D(x)||^2 / 2 (Mescheder et al. 2018, arXiv 1801.04406, equation 9)."""
    return _gradient_norms(critic, real).square().mean(-1) / 2


def r2(critic: Critic, real: Tensor, fake: Tensor, mix: Tensor | None) -> Tensor:
    """E ||grad D(G(z))||^2 / 2 (Mescheder et al. 2018, equation 10)."""
    return _gradient_norms(critic, fake).square().mean(-1) / 2


def r1_r2(critic: Critic, real: Tensor, fake: Tensor, mix: Tensor | None) -> Tensor:
    """R1 + R2 (Huang et al. 2024, arXiv 2501.05441)."""
    return r1(critic, real, fake, mix) + r2(critic, real, fake, mix)


def wgan_gp(critic: Critic, real: Tensor, fake: Tensor, mix: Tensor | None) -> Tensor:
    """E (||grad D(x')|| - 1)^2 at x' = mix * x + (1 - mix) * G(z).

    Gulrajani et al. 2017, arXiv 1704.00028, equation 3.
    """
    assert mix is not None
    share = mix.view(mix.shape + (1,) * (real.dim() - mix.dim()))
    between = share * real + (1 - share) * fake
    return (_gradient_norms(critic, between) - 1).square().mean(-1)


PENALTIES: dict[str, PenaltyTerm | None] = {
    "none": None,
    "weight_clip": None,
    "r1": r1,
    "r2": r2,
    "r1_r2": r1_r2,
    "wgan_gp": wgan_gp,
}
"""By name; None where nothing is added to the loss."""


@torch.no_grad()
def clip_weights(player: Player, bound: Tensor) -> Player:
    """Holds every parameter within +-bound (Arjovsky et al. 2017, arXiv 1701.07875, algorithm 1).

    Args:
        player: After its update.
        bound: () for one trial, (K,) for stacked ones.
    """
    params = {}
    for name, param in player.params.items():
        limit = bound.view(bound.shape + (1,) * (param.dim() - bound.dim()))
        params[name] = torch.maximum(torch.minimum(param, limit), -limit).requires_grad_()
    return player._replace(params=params)
