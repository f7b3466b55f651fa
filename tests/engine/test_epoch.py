"""The step: right, pure, free of host syncs, and the same for stacked trials."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode

from gantune.config import TrialConfig
from gantune.engine.draws import Draws, draw_epoch
from gantune.engine.engine import generate, hyper_part, initial_state, static_part, trainable
from gantune.engine.epoch import Hyper, Nets, Trace, Updates, run_epoch
from gantune.engine.losses import LOSSES
from gantune.engine.networks import build_discriminator, build_generator
from gantune.engine.optim import AdamRates, functional_adam, fused_adam
from gantune.engine.penalties import PENALTIES
from gantune.engine.state import Player, State, map_state, stack, unstack
from gantune.parts import Adam, MlpDiscriminator, MlpGenerator, Optimizers, Train
from gantune.study import with_values

CPU = torch.device("cpu")
SHAPE = (1, 4, 4)


def config(
    *, loss: str = "non_saturating", penalty: str = "none", every: int = 1, **train: object
) -> TrialConfig:
    rates = Optimizers(
        generator=Adam(lr=1e-3, beta1=0.4), discriminator=Adam(lr=2e-3, beta1=0.6, beta2=0.99)
    )
    options = {"epochs": 2, "steps_per_epoch": 10, "batch_size": 8, **train}
    trial = TrialConfig(
        generator=MlpGenerator(latent_dim=3, hidden=(6, 5), norm="batch", norm_eps=0.8),
        discriminator=MlpDiscriminator(hidden=(7,)),
        optimizer=rates,
        train=Train.model_validate(options),
    )
    changes = {"loss.name": loss, "penalty.name": penalty}
    return with_values(trial, changes | ({"penalty.every": every} if every > 1 else {}))


def data(seed: int = 0) -> Tensor:
    return torch.rand(40, *SHAPE, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def networks(trial: TrialConfig) -> Nets:
    return Nets(
        partial(build_generator(trial, SHAPE), train=True),
        partial(build_discriminator(trial, SHAPE), train=True),
    )


def hyper(trial: TrialConfig) -> Hyper:
    return hyper_part(trial, CPU)


def map_hyper(function: Callable[..., Tensor], *hypers: Hyper) -> Hyper:
    """Applies a function to the tensors that stand at the same place of each."""

    def rates(parts: Iterable[AdamRates]) -> AdamRates:
        return AdamRates(*(function(*tensors) for tensors in zip(*parts, strict=True)))

    return Hyper(
        rates(h.generator for h in hypers),
        rates(h.discriminator for h in hypers),
        function(*(h.penalty for h in hypers)),
    )


def fused(trial: TrialConfig) -> Updates:
    return Updates(fused_adam(trial.optimizer.generator), fused_adam(trial.optimizer.discriminator))


def start(trial: TrialConfig, seed: int) -> State:
    return initial_state(build_generator(trial, SHAPE), build_discriminator(trial, SHAPE), seed)


def solo(trial: TrialConfig, seed: int, updates: Updates) -> tuple[State, Trace]:
    static = static_part(trial)
    draws = draw_epoch(trial, static.rounds, 40, seed, 1, CPU)
    return run_epoch(
        static, trainable(start(trial, seed)), hyper(trial), draws, data(), networks(trial), updates
    )


FUNCTIONAL = Updates(functional_adam, functional_adam)

ORDERS = [
    {},
    {"d_steps": 3},
    {"g_steps": 2},
    {"d_steps": 2, "g_steps": 3, "share_fake": False},
    {"share_fake": False},
]


class TutorialGenerator(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(3, 6)
        self.second = nn.Linear(6, 5, bias=False)
        self.norm = nn.BatchNorm1d(5, eps=0.8)
        self.last = nn.Linear(5, 16)

    def forward(self, z: Tensor) -> Tensor:
        hidden = F.leaky_relu(self.first(z), 0.2)
        hidden = F.leaky_relu(self.norm(self.second(hidden)), 0.2)
        return torch.tanh(self.last(hidden)).view(-1, *SHAPE)


class TutorialDiscriminator(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(16, 7)
        self.last = nn.Linear(7, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(F.leaky_relu(self.first(x.flatten(1)), 0.2)).squeeze(1)


def load(module: nn.Module, params: dict[str, Tensor], names: dict[str, str]) -> None:
    module.load_state_dict({names[k]: v.clone() for k, v in params.items()}, strict=False)


G_NAMES = {
    "0.weight": "first.weight",
    "0.bias": "first.bias",
    "1.weight": "second.weight",
    "1.norm.weight": "norm.weight",
    "1.norm.bias": "norm.bias",
    "2.weight": "last.weight",
    "2.bias": "last.bias",
}
D_NAMES = {
    "0.weight": "first.weight",
    "0.bias": "first.bias",
    "1.weight": "last.weight",
    "1.bias": "last.bias",
}


def tutorial(
    trial: TrialConfig, state: State, draws: Draws, images: Tensor
) -> tuple[nn.Module, nn.Module]:
    """The published update rule, written with nn.Module, torch.optim and backward()."""
    g, d = TutorialGenerator(), TutorialDiscriminator()
    load(g, state.generator.params, G_NAMES)
    load(d, state.discriminator.params, D_NAMES)
    options, train = trial.optimizer, trial.train
    g_adam = torch.optim.Adam(g.parameters(), 1e-3, (0.4, 0.999))
    d_adam = torch.optim.Adam(d.parameters(), 2e-3, (0.6, 0.99))
    assert (options.generator.lr, options.discriminator.lr) == (1e-3, 2e-3)
    bce, latents, rows = nn.BCEWithLogitsLoss(), iter(draws.latents), iter(draws.indices)
    ones, zeros = torch.ones(train.batch_size), torch.zeros(train.batch_size)
    for _ in range(10):
        for _ in range(train.d_steps):
            fake = g(next(latents))
            real = images[next(rows)]
            d_adam.zero_grad()
            loss = (bce(d(real), ones) + bce(d(fake.detach()), zeros)) / 2
            loss.backward()
            d_adam.step()
        for i in range(train.g_steps):
            if i > 0 or not train.share_fake:
                fake = g(next(latents))
            g_adam.zero_grad()
            bce(d(fake), ones).backward()
            g_adam.step()
    return g, d


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("form", ["fused", "functional"])
def test_ten_rounds_equal_a_plain_pytorch_loop(order: dict[str, object], form: str) -> None:
    trial = config(**order)
    updates = fused(trial) if form == "fused" else FUNCTIONAL
    draws = draw_epoch(trial, 10, 40, 5, 1, CPU)
    g, d = tutorial(trial, start(trial, 5), draws, data())
    state, _ = solo(trial, 5, updates)
    for ours, theirs, names in (
        (state.generator.params, g, G_NAMES),
        (state.discriminator.params, d, D_NAMES),
    ):
        expected = theirs.state_dict()
        for name, tensor in ours.items():
            torch.testing.assert_close(tensor, expected[names[name]], rtol=1e-4, atol=1e-6)
    statistics = state.generator.buffers
    torch.testing.assert_close(statistics["1.mean"], g.norm.running_mean, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(statistics["1.var"], g.norm.running_var, rtol=1e-4, atol=1e-6)


STACKED = [
    *ORDERS,
    {"loss": "relativistic", "g_steps": 2},
    {"penalty": "wgan_gp", "every": 5, "d_steps": 2},
    *({"loss": loss, "penalty": name} for loss in sorted(LOSSES) for name in sorted(PENALTIES)),
]


@pytest.mark.parametrize("order", STACKED, ids=str)
def test_three_stacked_trials_give_what_three_solo_runs_give(order: dict[str, object]) -> None:
    rates = (1e-3, 3e-4, 2e-3)
    trials = [
        config(**order).model_copy(
            update={"optimizer": Optimizers(generator=Adam(lr=lr), discriminator=Adam(lr=lr / 2))}
        )
        for lr in rates
    ]
    static, nets = static_part(trials[0]), networks(trials[0])
    draws = [draw_epoch(t, 10, 40, seed, 1, CPU) for seed, t in enumerate(trials)]
    hypers = [hyper(trial) for trial in trials]
    stacked, trace = run_epoch(
        static,
        stack([trainable(start(trial, seed)) for seed, trial in enumerate(trials)]),
        map_hyper(lambda *tensors: torch.stack(tensors), *hypers),
        Draws(*map(torch.stack, zip(*draws, strict=True))),
        data(),
        Nets(
            torch.vmap(nets.generator, randomness="error"),
            torch.vmap(nets.discriminator, randomness="error"),
        ),
        FUNCTIONAL,
    )
    network = build_generator(trials[0], SHAPE)
    latents = torch.randn(20, 3, generator=torch.Generator().manual_seed(9))
    for seed, lane in enumerate(unstack(map_state(Tensor.detach, stacked))):
        alone, alone_trace = solo(trials[seed], seed, FUNCTIONAL)
        images = generate(network, alone, latents)
        torch.testing.assert_close(generate(network, lane, latents), images, rtol=0, atol=1e-5)
        for ours, theirs in zip(trace, alone_trace, strict=True):
            if ours is None or theirs is None:
                assert ours is theirs
                continue
            torch.testing.assert_close(ours[seed], theirs, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("penalty", sorted(PENALTIES))
@pytest.mark.parametrize("loss", sorted(LOSSES))
@pytest.mark.parametrize("form", ["fused", "functional"])
def test_the_step_never_reads_a_value(form: str, loss: str, penalty: str) -> None:
    """On fake tensors there are no values: reading one, or branching on one, raises."""
    trial = config(d_steps=2, loss=loss, penalty=penalty)
    updates = fused(trial) if form == "fused" else FUNCTIONAL
    with FakeTensorMode() as mode:
        shape = (20, 8, 3)
        state = trainable(map_state(mode.from_tensor, start(trial, 0)))
        rates = map_hyper(mode.from_tensor, hyper(trial))
        draws = Draws(torch.zeros(20, 8, dtype=torch.long), torch.zeros(shape), torch.zeros(20, 8))
        end, trace = run_epoch(
            static_part(trial),
            state,
            rates,
            draws,
            mode.from_tensor(data()),
            networks(trial),
            updates,
        )
    assert trace.real.shape == (20, 8) and trace.generated.shape == (10, 8)
    assert end.generator.params["0.weight"].shape == (6, 3)


def test_a_host_sync_in_the_step_would_be_caught() -> None:
    """The control of the test above."""

    def peeks(player: Player, gradients: Sequence[Tensor], rates: AdamRates) -> Player:
        float(gradients[0].sum())
        return player

    trial = config()
    with FakeTensorMode() as mode, pytest.raises(DataDependentOutputException):
        state = trainable(map_state(mode.from_tensor, start(trial, 0)))
        rates = map_hyper(mode.from_tensor, hyper(trial))
        shape = (10, 8, 3)
        draws = Draws(torch.zeros(10, 8, dtype=torch.long), torch.zeros(shape), torch.zeros(10, 8))
        run_epoch(
            static_part(trial),
            state,
            rates,
            draws,
            mode.from_tensor(data()),
            networks(trial),
            Updates(peeks, peeks),
        )


def test_an_epoch_leaves_the_state_it_was_given_as_it_was() -> None:
    trial = config()
    before = start(trial, 3)
    copy = map_state(Tensor.clone, before)
    static = static_part(trial)
    draws = draw_epoch(trial, static.rounds, 40, 3, 1, CPU)
    after, _ = run_epoch(
        static, trainable(before), hyper(trial), draws, data(), networks(trial), fused(trial)
    )
    map_state(lambda a, b: torch.testing.assert_close(a, b, rtol=0, atol=0) or a, before, copy)
    assert not torch.equal(after.generator.params["0.weight"], before.generator.params["0.weight"])


def test_fused_adam_gets_contiguous_gradients() -> None:
    """A gradient with other strides than its parameter makes a silently wrong fused step."""
    trial = config()
    player = start(trial, 0).discriminator
    gradients = [
        torch.randn(tensor.shape[::-1], generator=torch.Generator().manual_seed(1)).mT
        if tensor.dim() == 2
        else torch.ones_like(tensor)
        for tensor in player.params.values()
    ]
    assert not all(gradient.is_contiguous() for gradient in gradients)
    expected = functional_adam(player, gradients, hyper(trial).discriminator)
    copy = trainable(start(trial, 0)).discriminator
    updated = fused_adam(trial.optimizer.discriminator)(copy, gradients, hyper(trial).discriminator)
    for name, tensor in updated.params.items():
        torch.testing.assert_close(tensor, expected.params[name], rtol=1e-5, atol=1e-7)
