"""The step of training and the epoch: pure functions of state, hyperparameters and draws.

The same code runs for one trial and, with a leading axis on every tensor and networks under
``torch.vmap``, for several stacked ones. Nothing here reads a value from the device or branches on
one, so an epoch never waits for the accelerator.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from gantune.engine.draws import Draws
from gantune.engine.losses import Loss
from gantune.engine.optim import AdamRates, Update
from gantune.engine.penalties import PenaltyTerm, clip_weights
from gantune.engine.state import Player, State, Tensors

Apply = Callable[[Tensors, Tensors, Tensor], tuple[Tensor, Tensors]]


class Static(NamedTuple):
    """What shapes the computation and is the same for all stacked trials."""

    rounds: int
    d_steps: int
    g_steps: int
    share_fake: bool
    loss: Loss
    penalty: PenaltyTerm | None
    penalty_every: int
    clips_weights: bool


class Hyper(NamedTuple):
    """Hyperparameters that may differ between stacked trials."""

    generator: AdamRates
    discriminator: AdamRates
    penalty: Tensor  # its weight, or the bound of a weight clip


class Nets(NamedTuple):
    """The two networks: (params, buffers, x) -> (output, buffers)."""

    generator: Apply
    discriminator: Apply


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
        generated: (..., U', B) its logits in the generator's updates.
        penalty: (..., U) weighted penalty that was added; None without one.
        compared: (..., U', B) its logits of real samples there; None unless the loss needs them.
        d_norms: (..., U) norms of the discriminator's gradient.
        g_norms: (..., U') norms of the generator's gradient.
    """

    real: Tensor
    fake: Tensor
    generated: Tensor
    penalty: Tensor | None
    compared: Tensor | None
    d_norms: Tensor
    g_norms: Tensor


def run_epoch(
    static: Static,
    state: State,
    hyper: Hyper,
    draws: Draws,
    data: Tensor,
    nets: Nets,
    updates: Updates,
) -> tuple[State, Trace]:
    """Trains for ``static.rounds`` rounds.

    Args:
        static: Shape of the computation.
        state: State before, its parameters requiring gradients; the updates may write to it.
        hyper: Rates.
        draws: Indices and latents of the epoch, with a leading axis for stacked trials.
        data: (n, ...) training samples on the device, shared by stacked trials.
        nets: The networks in training mode.
        updates: The optimizer steps.

    Returns:
        The state after, and the trace.
    """
    epoch = _Epoch(static, hyper, draws, data, nets, updates)
    for number in range(static.rounds):
        state = epoch.round(state, number)
    return state, Trace(
        torch.stack(epoch.real, -2),
        torch.stack(epoch.fake, -2),
        torch.stack(epoch.generated, -2),
        torch.stack(epoch.penalty, -1) if epoch.penalty else None,
        torch.stack(epoch.compared, -2) if epoch.compared else None,
        _total_norms(epoch.d_norms),
        _total_norms(epoch.g_norms),
    )


def _total_norms(norms: Sequence[Sequence[Tensor]]) -> Tensor:
    """(..., U) norms over all parameters, from each update's norms per parameter."""
    total = torch.zeros((), device=norms[0][0].device)
    for column in zip(*norms, strict=True):
        # Added one by one: a stacked sum would be rounded by the number of stacked trials.
        total = total + torch.stack(column, -1).square()
    return total.sqrt()


class _Epoch:
    """What stays the same over an epoch's rounds, and the lists that its trace is made of."""

    def __init__(
        self,
        static: Static,
        hyper: Hyper,
        draws: Draws,
        data: Tensor,
        nets: Nets,
        updates: Updates,
    ) -> None:
        self.static, self.hyper, self.draws, self.data = static, hyper, draws, data
        self.nets, self.updates = nets, updates
        # Behind the axis of stacked trials where there is one: (rounds, B, latent_dim) without.
        self.axis = draws.latents.dim() - 3
        self.per_round = static.d_steps + static.g_steps - int(static.share_fake)
        self.real: list[Tensor] = []
        self.fake: list[Tensor] = []
        self.generated: list[Tensor] = []
        self.penalty: list[Tensor] = []
        self.compared: list[Tensor] = []
        self.d_norms: list[list[Tensor]] = []
        self.g_norms: list[list[Tensor]] = []

    def round(self, state: State, number: int) -> State:
        """d_steps discriminator updates, then g_steps generator updates."""
        static, (g, d) = self.static, state
        latent = number * self.per_round
        for i in range(static.d_steps):
            is_shared = static.share_fake and i == static.d_steps - 1
            g, fake = self.generate(g, latent, with_graph=is_shared)
            update = number * static.d_steps + i
            real = self.data[self.draws.indices.select(self.axis, update)]
            d = self.discriminator_step(d, real, fake.detach(), number, update)
            latent += 1
        for i in range(static.g_steps):
            if i > 0 or not static.share_fake:
                g, fake = self.generate(g, latent, with_graph=True)
                latent += 1
            g, d = self.generator_step(g, d, fake, real)
        return State(g, d)

    def generate(self, g: Player, latent: int, *, with_graph: bool) -> tuple[Player, Tensor]:
        """A generated batch (..., B, *sample), and the generator with its new buffers."""
        z = self.draws.latents.select(self.axis, latent)
        with torch.set_grad_enabled(with_graph):
            fake, buffers = self.nets.generator(g.params, g.buffers, z)
        return g._replace(buffers=buffers), fake

    def discriminator_step(
        self, d: Player, real: Tensor, fake: Tensor, number: int, update: int
    ) -> Player:
        """One update (counted in the epoch) on a real and a generated batch.

        They go through the network as one batch: it has no layer that couples samples, so this is
        the same function at half the calls.
        """
        loss, size = self.static.loss, real.shape[self.axis]
        both = torch.cat([real, fake], self.axis)
        logits, buffers = self.nets.discriminator(d.params, d.buffers, both)
        real_logits, fake_logits = logits.split(size, -1)
        value = loss.discriminator(real_logits, fake_logits).total
        if self.static.penalty is not None:
            added = self.penalty_term(d, real, fake, number, update)
            value = value + added
            self.penalty.append(added.detach())
        # The sum keeps stacked trials apart: each loss depends on that trial's parameters only.
        gradients = torch.autograd.grad(value.sum(), list(d.params.values()))
        self.real.append(real_logits.detach())
        self.fake.append(fake_logits.detach())
        self.d_norms.append(self.norms(gradients))
        d = d._replace(buffers=buffers)
        d = self.updates.discriminator(d, gradients, self.hyper.discriminator)
        return clip_weights(d, self.hyper.penalty) if self.static.clips_weights else d

    def penalty_term(
        self, d: Player, real: Tensor, fake: Tensor, number: int, update: int
    ) -> Tensor:
        """The weighted penalty (...,): zero in the rounds that a lazy one leaves out."""
        every, term = self.static.penalty_every, self.static.penalty
        assert term is not None
        if number % every:
            return torch.zeros_like(self.hyper.penalty)

        def critic(samples: Tensor) -> Tensor:
            return self.nets.discriminator(d.params, d.buffers, samples)[0]

        mix = self.draws.mix.select(self.axis, update)
        return self.hyper.penalty * every * term(critic, real, fake, mix)

    def generator_step(
        self, g: Player, d: Player, fake: Tensor, real: Tensor
    ) -> tuple[Player, Player]:
        """One update through the discriminator, on fakes that carry their graph."""
        loss, compared = self.static.loss, None
        logits, buffers = self.nets.discriminator(d.params, d.buffers, fake)
        if loss.needs_real:
            with torch.no_grad():
                compared, buffers = self.nets.discriminator(d.params, buffers, real)
            self.compared.append(compared)
        value = loss.generator(logits, compared)
        gradients = torch.autograd.grad(value.sum(), list(g.params.values()))
        self.generated.append(logits.detach())
        self.g_norms.append(self.norms(gradients))
        g = self.updates.generator(g, gradients, self.hyper.generator)
        return g, d._replace(buffers=buffers)

    def norms(self, gradients: Sequence[Tensor]) -> list[Tensor]:
        """The norm of each parameter's gradient: (), or one per stacked trial."""
        return [torch.linalg.vector_norm(g.flatten(self.axis), dim=-1) for g in gradients]
