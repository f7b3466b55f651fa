"""What goes into an epoch and what comes out of it, as plain records."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from gantune.engine.balance import Rule
from gantune.engine.losses import Loss
from gantune.engine.networks.base import Shape
from gantune.engine.optim import Update
from gantune.engine.penalties import PenaltyTerm
from gantune.engine.state import Tensors

Apply = Callable[[Tensors, Tensors, Tensor, Mapping[str, Tensor]], tuple[Tensor, Tensors]]
"""(params, buffers, x, noise) -> (output, new buffers)."""

NoiseShapes = Callable[[int], dict[str, Shape]]
"""Samples in a batch -> the U(0, 1) tensors that a pass needs."""


class Static(NamedTuple):
    """What shapes the computation and is the same for all stacked trials."""

    rounds: int
    d_steps: int
    g_steps: int
    generator_first: bool
    share_fake: bool
    joint_batch: bool
    switch_eval: bool
    loss: Loss
    penalty: PenaltyTerm | None
    penalty_every: int
    clips_weights: bool
    clips_gradients: bool
    softens_labels: bool
    adds_content: bool
    adds_noise: bool
    averages: bool
    policy: tuple[str, ...]
    flips: bool
    rule: Rule | None
    watches: bool
    g_noise: NoiseShapes
    d_noise: NoiseShapes


class Hyper(NamedTuple):
    """Hyperparameters that may differ between stacked trials: (), or (K,), each.

    Attributes:
        penalty: Weight of the penalty, or the bound of a weight clip.
        penalty_decay: Of what a penalty remembers.
        label_smoothing: What the label of real samples lacks to 1.
        label_flip: Chance of the other label.
        content_weight: Of the pixel loss.
        instance_noise: (..., rounds) standard deviation at each round.
        ema: Decay of the average of the generator's weights.
        grad_clip: Largest norm of a gradient.
    """

    penalty: Tensor
    penalty_decay: Tensor
    label_smoothing: Tensor
    label_flip: Tensor
    content_weight: Tensor
    instance_noise: Tensor
    ema: Tensor
    grad_clip: Tensor


class Nets(NamedTuple):
    """The two networks, in training mode and, for the player whose turn it is not, in eval mode."""

    generator: Apply
    discriminator: Apply
    idle_generator: Apply
    idle_discriminator: Apply


class Updates(NamedTuple):
    """Each player's optimizer step."""

    generator: Update
    discriminator: Update


class Trace(NamedTuple):
    """What an epoch leaves for its record; U updates of a player, B samples each.

    Losses, accuracies and AUC are functions of the logits, so that they cost nothing within a step.

    Attributes:
        real: (..., U, B) the discriminator's logits of real samples before each update.
        fake: (..., U, B) its logits of generated samples.
        generated: (..., U', B) its logits in the generator's updates; None where it had none.
        penalty: (..., U) weighted penalty that was added; None without one.
        compared: (..., U', B) its logits of real samples there; None unless the loss needs them.
        content: (..., U') weighted content loss that was added; None without one.
        d_norms: (..., U) norms of the discriminator's gradient; None where it was not updated.
        g_norms: (..., U') norms of the generator's gradient.
        d_rounds: The round of each of the U.
        g_rounds: The round of each of the U'.
    """

    real: Tensor | None
    fake: Tensor | None
    generated: Tensor | None
    penalty: Tensor | None
    compared: Tensor | None
    content: Tensor | None
    d_norms: Tensor | None
    g_norms: Tensor | None
    d_rounds: tuple[int, ...]
    g_rounds: tuple[int, ...]


@dataclass
class Traces:
    """The lists that a trace is made of, while the epoch runs."""

    real: list[Tensor] = field(default_factory=list)
    fake: list[Tensor] = field(default_factory=list)
    generated: list[Tensor] = field(default_factory=list)
    penalty: list[Tensor] = field(default_factory=list)
    compared: list[Tensor] = field(default_factory=list)
    content: list[Tensor] = field(default_factory=list)
    d_norms: list[list[Tensor]] = field(default_factory=list)
    g_norms: list[list[Tensor]] = field(default_factory=list)
    d_rounds: list[int] = field(default_factory=list)
    g_rounds: list[int] = field(default_factory=list)

    def judged(self, real: Tensor, fake: Tensor, number: int) -> None:
        """Notes the discriminator's logits of a round."""
        self.real.append(real.detach())
        self.fake.append(fake.detach())
        self.d_rounds.append(number)

    def generated_by(self, logits: Tensor, number: int) -> None:
        """Notes its logits in a generator update of a round."""
        self.generated.append(logits.detach())
        self.g_rounds.append(number)

    def stacked(self) -> Trace:
        """The trace of the epoch."""
        return Trace(
            _stack(self.real, -2),
            _stack(self.fake, -2),
            _stack(self.generated, -2),
            _stack(self.penalty, -1),
            _stack(self.compared, -2),
            _stack(self.content, -1),
            _total_norms(self.d_norms),
            _total_norms(self.g_norms),
            tuple(self.d_rounds),
            tuple(self.g_rounds),
        )


def _stack(tensors: list[Tensor], axis: int) -> Tensor | None:
    return torch.stack(tensors, axis) if tensors else None


def _total_norms(norms: list[list[Tensor]]) -> Tensor | None:
    """(..., U) norms over all parameters, from each update's norms per parameter."""
    if not norms:
        return None
    return total_norm([torch.stack(column, -1) for column in zip(*norms, strict=True)])


def total_norm(norms: list[Tensor]) -> Tensor:
    """The norm of a whole gradient, from the norms of its parts, all of one shape.

    Added one by one: a stacked sum would be rounded by the number of stacked trials.
    """
    total = torch.zeros_like(norms[0])
    for norm in norms:
        total = total + norm.square()
    return total.sqrt()
