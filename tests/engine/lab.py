"""A small bench for the step: trials as dotted changes, run solo, stacked or on fake tensors."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from gantune.config import TrialConfig
from gantune.engine.draws import draw_epoch, stack_draws
from gantune.engine.engine import trainable
from gantune.engine.epoch import run_epoch
from gantune.engine.forms import Hyper, Nets, Static, Trace, Updates
from gantune.engine.networks import build_discriminator, build_generator
from gantune.engine.networks.base import Network, Shape
from gantune.engine.optim import functional_update, make_rates
from gantune.engine.setup import (
    hyper_part,
    initial_state,
    rate_factors,
    solo_nets,
    solo_updates,
    static_part,
)
from gantune.engine.state import State, map_state, stack, unstack
from gantune.study import with_values

CPU = torch.device("cpu")
SHAPE = (1, 8, 8)
SIZE = 40

BASE: dict[str, Any] = {
    "generator.latent_dim": 3,
    "generator.hidden": [6, 5],
    "generator.norm": "batch",
    "generator.norm_eps": 0.8,
    "discriminator.hidden": [7],
    "optimizer.generator.lr": 1e-3,
    "optimizer.generator.beta1": 0.4,
    "optimizer.discriminator.lr": 2e-3,
    "optimizer.discriminator.beta1": 0.6,
    "optimizer.discriminator.beta2": 0.99,
    "train.epochs": 2,
    "train.steps_per_epoch": 10,
    "train.batch_size": 8,
}


def config(**changes: Any) -> TrialConfig:
    """The base trial with changes: ``config(**{"loss.name": "hinge"})``."""
    return with_values(with_values(TrialConfig(), BASE), changes)


def images(seed: int = 0, shape: Shape = SHAPE) -> Tensor:
    return torch.rand(SIZE, *shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


class Bench(NamedTuple):
    """A trial ready to run."""

    trial: TrialConfig
    generator: Network
    discriminator: Network
    static: Static
    data: Tensor

    @property
    def rounds(self) -> int:
        return self.static.rounds

    def start(self, seed: int) -> State:
        """The state before the first epoch, as precise as the data."""
        state = initial_state(self.trial, self.generator, self.discriminator, seed)
        return map_state(lambda tensor: tensor.to(self.data.dtype), state)

    def hyper(self, epoch: int = 1) -> Hyper:
        return hyper_part(self.trial, epoch, self.rounds, CPU)

    def nets(self) -> Nets:
        return solo_nets(self.trial, self.generator, self.discriminator, CPU)

    def updates(self, form: str, epoch: int = 1) -> Updates:
        factors = rate_factors(self.trial, epoch, self.rounds)
        if form == "in_place":
            return solo_updates(self.trial, factors)
        optimizer = self.trial.optimizer
        players = (optimizer.generator, optimizer.discriminator)
        return Updates(*(functional_update(p.name, make_rates(p, factors, CPU)) for p in players))

    def solo(
        self, seed: int, form: str = "in_place", state: State | None = None, epoch: int = 1
    ) -> tuple[State, Trace]:
        draws = draw_epoch(self.trial, self.rounds, SIZE, seed, epoch, CPU)
        end, trace = run_epoch(
            self.static,
            trainable(state or self.start(seed)),
            self.hyper(epoch),
            draws._replace(latents=draws.latents.to(self.data.dtype)),
            self.data.__getitem__,
            self.nets(),
            self.updates(form, epoch),
        )
        return map_state(Tensor.detach, end), trace


def bench(trial: TrialConfig, shape: Shape = SHAPE) -> Bench:
    generator, discriminator = build_generator(trial, shape), build_discriminator(trial, shape)
    static = static_part(trial, generator, discriminator)
    return Bench(trial, generator, discriminator, static, images(shape=shape))


def stacked(benches: Sequence[Bench]) -> tuple[list[State], Trace]:
    """The epochs of several benches, trial i from seed i, in one run."""
    first = benches[0]

    def vmapped(network: Network, *, train: bool) -> Callable[..., Any]:
        return torch.vmap(partial(network, train=train), randomness="error")

    end, trace = run_epoch(
        first.static,
        stack([trainable(one.start(seed)) for seed, one in enumerate(benches)]),
        Hyper(*map(torch.stack, zip(*(one.hyper() for one in benches), strict=True))),
        stack_draws(
            [draw_epoch(b.trial, b.rounds, SIZE, seed, 1, CPU) for seed, b in enumerate(benches)]
        ),
        first.data.__getitem__,
        Nets(
            vmapped(first.generator, train=True),
            vmapped(first.discriminator, train=True),
            vmapped(first.generator, train=False),
            vmapped(first.discriminator, train=False),
        ),
        stacked_updates(benches),
    )
    return unstack(map_state(Tensor.detach, end)), trace


def stacked_updates(benches: Sequence[Bench]) -> Updates:
    """Functional updates with the rates of several trials."""

    def of(player: str) -> Any:
        options = [getattr(one.trial.optimizer, player) for one in benches]
        rates = [
            make_rates(o, rate_factors(b.trial, 1, b.rounds), CPU)
            for o, b in zip(options, benches, strict=True)
        ]
        together = {name: torch.stack([one[name] for one in rates]) for name in rates[0]}
        return functional_update(options[0].name, together)

    return Updates(of("generator"), of("discriminator"))
