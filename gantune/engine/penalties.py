"""Penalties on the discriminator: functions of it and of samples, apart from losses.

Gradients with respect to samples are taken outside of networks, and norms over the sample's axes
only, so that the same code serves stacked trials.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from gantune.engine.state import Player, Tensors

Critic = Callable[[Tensor], Tensor]
"""(..., B, *sample) -> (..., B) logits, differentiable in its argument."""


class Subject(NamedTuple):
    """What a penalty can look at, at one discriminator update.

    Attributes:
        critic: The discriminator with its weights.
        params: Those weights by name.
        real: (..., B, *sample) as the discriminator saw them, without gradients.
        fake: Likewise.
        real_logits: (..., B) with gradients.
        fake_logits: Likewise.
        uniform: (shape behind the stacked trials') -> U(0, 1) numbers.
        memory: What the penalty remembers from earlier updates, by name; (...,) each.
        decay: (...,) of what it remembers.
    """

    critic: Critic
    params: Tensors
    real: Tensor
    fake: Tensor
    real_logits: Tensor
    fake_logits: Tensor
    uniform: Callable[[tuple[int, ...]], Tensor]
    memory: Tensors
    decay: Tensor


PenaltyTerm = Callable[[Subject], Tensor]


def _gradient_norms(critic: Critic, samples: Tensor) -> Tensor:
    """(..., B) norms of the critic's gradient at each sample (or pack of samples)."""
    samples = samples.detach().requires_grad_()
    logits = critic(samples)
    (gradient,) = torch.autograd.grad(logits.sum(), samples, create_graph=True)
    norms: Tensor = torch.linalg.vector_norm(gradient.reshape(*logits.shape, -1), dim=-1)
    return norms


def _behind(share: Tensor, samples: Tensor) -> Tensor:
    """Gives (..., B) numbers the axes that meet (..., B, *sample)."""
    return share.view(share.shape + (1,) * (samples.dim() - share.dim()))


def r1(subject: Subject) -> Tensor:
    """E ||grad D(x)||^2 / 2 (Mescheder et al. 2018, arXiv 1801.04406, equation 9)."""
    return _gradient_norms(subject.critic, subject.real).square().mean(-1) / 2


def r2(subject: Subject) -> Tensor:
    """E ||grad D(G(z))||^2 / 2 (Mescheder et al. 2018, equation 10)."""
    return _gradient_norms(subject.critic, subject.fake).square().mean(-1) / 2


def r1_r2(subject: Subject) -> Tensor:
    """R1 + R2 (Huang et al. 2024, arXiv 2501.05441)."""
    return r1(subject) + r2(subject)


def wgan_gp(subject: Subject) -> Tensor:
    """E (||grad D(x')|| - 1)^2 at x' = u x + (1 - u) G(z).

    Gulrajani et al. 2017, arXiv 1704.00028, equation 3.
    """
    share = _behind(subject.uniform(()), subject.real)
    between = share * subject.real + (1 - share) * subject.fake
    return (_gradient_norms(subject.critic, between) - 1).square().mean(-1)


def dragan(subject: Subject) -> Tensor:
    """E (||grad D(x')|| - 1)^2 at x' = x + u * std(x) / 2 * U(0, 1), u per sample.

    Kodali et al. 2017, arXiv 1705.07215, as in the authors' code; std over the whole batch.
    """
    real, axis = subject.real, subject.decay.dim()
    std = (
        real.flatten(axis)
        .std(-1, correction=0)
        .view(*real.shape[:axis], *[1] * (real.dim() - axis))
    )
    share = _behind(subject.uniform(()), real)
    around = real + share * std / 2 * subject.uniform(tuple(real.shape[axis + 1 :]))
    return (_gradient_norms(subject.critic, around) - 1).square().mean(-1)


def l2(subject: Subject) -> Tensor:
    """Sum of squares of all weights, not of biases or norms, over 2."""
    axis = subject.decay.dim()
    weights = [param for param in subject.params.values() if param.dim() > axis + 1]
    total = torch.zeros_like(subject.decay)
    for weight in weights:
        # Added one by one: a stacked sum would be rounded by the number of stacked trials.
        total = total + weight.flatten(axis).square().sum(-1)
    return total / 2


def lecam(subject: Subject) -> Tensor:
    """E (D(x) - a_fake)^2 + E (D(G(z)) - a_real)^2, a the running means of D's outputs.

    Tseng et al. 2021, arXiv 2104.03310, equations 3 and 4. The means are corrected for their start
    at 0, so that the penalty is right from the first update.
    """
    remembered = subject.memory
    scale = 1 - remembered["lecam.left"]
    anchor_real, anchor_fake = remembered["lecam.real"] / scale, remembered["lecam.fake"] / scale
    to_fake = (subject.real_logits - anchor_fake[..., None]).square().mean(-1)
    to_real = (subject.fake_logits - anchor_real[..., None]).square().mean(-1)
    return to_fake + to_real


@torch.no_grad()
def remember(memory: Tensors, real: Tensor, fake: Tensor, decay: Tensor) -> Tensors:
    """Running means of the discriminator's outputs, and what is left in them of their start."""
    if "lecam.left" not in memory:
        return memory
    return {
        **memory,
        "lecam.left": memory["lecam.left"] * decay,
        "lecam.real": torch.lerp(real.mean(-1), memory["lecam.real"], decay),
        "lecam.fake": torch.lerp(fake.mean(-1), memory["lecam.fake"], decay),
    }


MEMORIES: dict[str, dict[str, float]] = {
    "lecam": {"lecam.left": 1.0, "lecam.real": 0.0, "lecam.fake": 0.0},
}
"""What a penalty remembers, at the start."""

PENALTIES: dict[str, PenaltyTerm | None] = {
    "none": None,
    "weight_clip": None,
    "r1": r1,
    "r2": r2,
    "r1_r2": r1_r2,
    "wgan_gp": wgan_gp,
    "dragan": dragan,
    "l2": l2,
    "lecam": lecam,
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
