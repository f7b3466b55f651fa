"""The step of training and the epoch: pure functions of state, hyperparameters and draws.

The same code runs for one trial and, with a leading axis on every tensor and networks under
``torch.vmap``, for several stacked ones. Nothing here reads a value from the device or branches on
one, so an epoch never waits for the accelerator; only a rule of balance, where a trial has one,
looks at values once per round.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from gantune.engine.augment import flip
from gantune.engine.balance import TURNS, Signals, Turn
from gantune.engine.draws import Draws
from gantune.engine.forms import Hyper, Nets, Static, Trace, Traces, Updates, total_norm
from gantune.engine.losses import soft_labels
from gantune.engine.penalties import Subject, clip_weights, remember
from gantune.engine.players import Players
from gantune.engine.state import Player, State
from gantune.metrics.discriminator import accuracy

Batches = Callable[[Tensor], Tensor]
"""(..., B) rows of the training data -> (..., B, *sample) real samples in [-1, 1]."""


def run_epoch(
    static: Static,
    state: State,
    hyper: Hyper,
    draws: Draws,
    data: Batches,
    nets: Nets,
    updates: Updates,
) -> tuple[State, Trace]:
    """Trains for ``static.rounds`` rounds.

    Args:
        static: Shape of the computation.
        state: State before, its parameters requiring gradients; the updates may write to it.
        hyper: What may differ between stacked trials.
        draws: Random tensors of the epoch, with a leading axis for stacked trials.
        data: The training samples, shared by stacked trials.
        nets: The networks.
        updates: The optimizer steps.

    Returns:
        The state after, and the trace.
    """
    epoch = _Epoch(static, hyper, draws, data, nets, updates)
    if static.rule is None:
        for number in range(static.rounds):
            state = epoch.round(state, number, TURNS[0])
        return state, epoch.traces.stacked()
    turn = TURNS[int(state.memory["turn"])]
    for number in range(static.rounds):
        state = epoch.round(state, number, turn)
        turn = static.rule(turn, epoch.signals())
    now = torch.full_like(state.memory["turn"], float(TURNS.index(turn)))
    return state._replace(memory={**state.memory, "turn": now}), epoch.traces.stacked()


class _Epoch:
    """What stays the same over an epoch's rounds, and the lists that its trace is made of."""

    def __init__(
        self,
        static: Static,
        hyper: Hyper,
        draws: Draws,
        data: Batches,
        nets: Nets,
        updates: Updates,
    ) -> None:
        self.static, self.hyper, self.draws, self.data = static, hyper, draws, data
        self.updates = updates
        # Behind the axis of stacked trials where there is one: (rounds, B, latent_dim) without.
        self.axis = draws.latents.dim() - 3
        self.batch = draws.latents.shape[-2]
        self.players = Players(static, hyper, draws.noise, nets, self.axis)
        self.latents_per_round = static.d_steps + static.g_steps - int(static.share_fake)
        self.latent = 0
        self.traces = Traces()

    def round(self, state: State, number: int, turn: Turn) -> State:
        """The updates of the players whose turn it is, in the order of the trial."""
        self.latent = number * self.latents_per_round
        real = self.fetch(number, 0)
        if self.static.generator_first:
            state, fake = self.generator_turn(state, None, real, number, turn)
            return self.discriminator_turn(state, fake, real, number, turn)[0]
        state, fake, real = self.discriminator_turn(state, None, real, number, turn)
        return self.generator_turn(state, fake, real, number, turn)[0]

    def discriminator_turn(
        self, state: State, shared: Tensor | None, real: Tensor, number: int, turn: Turn
    ) -> tuple[State, Tensor | None, Tensor]:
        """d_steps updates; returns the last fakes, where G is to use them, and the last reals."""
        static, fake = self.static, shared
        if not turn.discriminator and not static.watches:
            return state, None, real
        hands_on = static.share_fake and not static.generator_first and turn.generator
        for i in range(static.d_steps):
            is_last = i == static.d_steps - 1
            if i > 0:
                real = self.fetch(number, i)
            if i > 0 or fake is None:
                state, fake = self.generate(state, with_graph=hands_on and is_last, is_idle=True)
            if turn.discriminator:
                state = self.discriminator_step(state, real, fake.detach(), number)
            else:
                self.watch(state.discriminator, real, fake.detach(), number)
        return state, fake if hands_on else None, real

    def generator_turn(
        self, state: State, shared: Tensor | None, real: Tensor, number: int, turn: Turn
    ) -> tuple[State, Tensor | None]:
        """g_steps updates; returns the last fakes, where D is to use them."""
        static, fake = self.static, shared
        if not turn.generator:
            return state, None
        for i in range(static.g_steps):
            if i > 0 or fake is None:
                state, fake = self.generate(state, with_graph=True, is_idle=False)
            state = self.generator_step(state, fake, real, number)
        return state, fake if static.share_fake else None

    def fetch(self, number: int, i: int) -> Tensor:
        """The real batch of a round's i-th discriminator update."""
        update = number * self.static.d_steps + i
        real = self.data(self.draws.indices.select(self.axis, update))
        if self.static.flips:
            real = flip(real, self.draws.noise.uniform("flip", (self.batch,)))
        return real

    def generate(self, state: State, *, with_graph: bool, is_idle: bool) -> tuple[State, Tensor]:
        """A generated batch of the next latents."""
        z = self.draws.latents.select(self.axis, self.latent)
        self.latent += 1
        g, fake = self.players.generate(state.generator, z, with_graph=with_graph, is_idle=is_idle)
        return state._replace(generator=g), fake

    @torch.no_grad()
    def watch(self, d: Player, real: Tensor, fake: Tensor, number: int) -> None:
        """Notes how the discriminator does in a round in which it is not updated."""
        real, fake = self.players.seen(real, number), self.players.seen(fake, number)
        real_logits, fake_logits, _ = self.players.judge_both(d, real, fake)
        self.traces.judged(real_logits, fake_logits, number)

    def discriminator_step(self, state: State, real: Tensor, fake: Tensor, number: int) -> State:
        """One update on a real and a generated batch."""
        static, d = self.static, state.discriminator
        real, fake = self.players.seen(real, number), self.players.seen(fake, number)
        real_logits, fake_logits, buffers = self.players.judge_both(d, real, fake)
        value = self.discriminator_loss(real_logits, fake_logits)
        if static.penalty is not None:
            decay = self.hyper.penalty_decay
            memory = remember(state.memory, real_logits, fake_logits, decay)
            state = state._replace(memory=memory)
            if number % static.penalty_every == 0:
                added = self.penalty(state, real, fake, real_logits, fake_logits)
                value = value + added
            else:
                added = torch.zeros_like(self.hyper.penalty)
            self.traces.penalty.append(added.detach())
        # The sum keeps stacked trials apart: each loss depends on that trial's parameters only.
        gradients = torch.autograd.grad(value.sum(), list(d.params.values()))
        self.traces.judged(real_logits, fake_logits, number)
        norms = self.norms(gradients)
        self.traces.d_norms.append(norms)
        d = self.updates.discriminator(
            d._replace(buffers=buffers), self.clipped(gradients, norms), number
        )
        if static.clips_weights:
            d = clip_weights(d, self.hyper.penalty)
        return state._replace(discriminator=d)

    def discriminator_loss(self, real: Tensor, fake: Tensor) -> Tensor:
        """(...,) the loss that is descended, on softened labels where the trial has them."""
        loss = self.static.loss
        if not self.static.softens_labels:
            return loss.discriminator(real, fake).total
        assert loss.on_targets is not None
        u = self.draws.noise.uniform("labels", (2, real.shape[-1]))
        labels = soft_labels(u, self.hyper.label_smoothing, self.hyper.label_flip)
        return loss.on_targets(real, fake, *labels)

    def penalty(
        self, state: State, real: Tensor, fake: Tensor, real_logits: Tensor, fake_logits: Tensor
    ) -> Tensor:
        """The weighted penalty (...,)."""
        static, d, noise = self.static, state.discriminator, self.draws.noise
        assert static.penalty is not None
        subject = Subject(
            critic=lambda samples: self.players.judge(d, samples)[0],
            params=d.params,
            real=real,
            fake=fake,
            real_logits=real_logits,
            fake_logits=fake_logits,
            uniform=lambda shape: noise.uniform("penalty", (self.batch, *shape)),
            memory=state.memory,
            decay=self.hyper.penalty_decay,
        )
        return self.hyper.penalty * static.penalty_every * static.penalty(subject)

    def generator_step(self, state: State, fake: Tensor, real: Tensor, number: int) -> State:
        """One update through the discriminator, on fakes that carry their graph."""
        static, g, d, compared = self.static, state.generator, state.discriminator, None
        logits, buffers = self.players.opinion(d, self.players.seen(fake, number))
        d = d._replace(buffers=buffers)
        if static.loss.needs_real:
            with torch.no_grad():
                compared, buffers = self.players.opinion(d, self.players.seen(real, number))
            d = d._replace(buffers=buffers)
            self.traces.compared.append(compared)
        value = static.loss.generator(logits, compared)
        if static.adds_content:
            distance = (fake - real).abs().flatten(self.axis).mean(-1)
            content = self.hyper.content_weight * distance
            value = value + content
            self.traces.content.append(content.detach())
        gradients = torch.autograd.grad(value.sum(), list(g.params.values()))
        self.traces.generated_by(logits, number)
        norms = self.norms(gradients)
        self.traces.g_norms.append(norms)
        g = self.updates.generator(g, self.clipped(gradients, norms), number)
        state = state._replace(generator=g, discriminator=d)
        return self.average(state) if static.averages else state

    def norms(self, gradients: Sequence[Tensor]) -> list[Tensor]:
        """The norm of each parameter's gradient: (), or one per stacked trial."""
        return [torch.linalg.vector_norm(g.flatten(self.axis), dim=-1) for g in gradients]

    def clipped(self, gradients: Sequence[Tensor], norms: list[Tensor]) -> Sequence[Tensor]:
        """Gradients of at most the norm that the trial allows (Pascanu et al. 2013)."""
        if not self.static.clips_gradients:
            return gradients
        scale = (self.hyper.grad_clip / (total_norm(norms) + 1e-6)).clamp(max=1)
        return [g * scale.view(scale.shape + (1,) * (g.dim() - scale.dim())) for g in gradients]

    @torch.no_grad()
    def average(self, state: State) -> State:
        """Moves the average of the generator's weights, faster in its first updates.

        The decay after t updates is min(ema, (1 + t) / (10 + t)), so that the average of a short
        training is not one of initial weights.
        """
        t = state.generator.counters["step"]
        decay = torch.minimum(self.hyper.ema, (1 + t) / (10 + t))
        average = {}
        for name, param in state.generator.params.items():
            weight = decay.view(decay.shape + (1,) * (param.dim() - decay.dim()))
            average[name] = torch.lerp(param, state.average[name], weight)
        return state._replace(average=average)

    def signals(self) -> Signals:
        """What the last updates showed, read from the device."""
        loss, traces = self.static.loss, self.traces
        d_loss = g_loss = d_acc = None
        if traces.real:
            real, fake = traces.real[-1], traces.fake[-1]
            d_loss = float(loss.discriminator(real, fake).total)
            d_acc = float(accuracy(real, fake, loss.threshold).mean)
        if traces.generated:
            compared = traces.compared[-1] if traces.compared else None
            g_loss = float(loss.generator(traces.generated[-1], compared))
        return Signals(d_loss, g_loss, d_acc)
