"""The step against a plain PyTorch loop, and what an epoch leaves alone."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from lab import SIZE, Bench, bench, config
from torch import Tensor, nn

from gantune.engine.draws import Draws, draw_epoch
from gantune.engine.state import State, map_state
from gantune.study import with_values

CPU = torch.device("cpu")
SHAPE = (1, 4, 4)

ORDERS: list[dict[str, Any]] = [
    {},
    {"train.d_steps": 3},
    {"train.g_steps": 2},
    {"train.d_steps": 2, "train.g_steps": 3, "train.share_fake": False},
    {"train.share_fake": False},
    {"train.joint_batch": False},
    {"train.order": "generator_first"},
    {"train.order": "generator_first", "train.d_steps": 2, "train.g_steps": 2},
    {"train.order": "generator_first", "train.share_fake": False},
    {"train.grad_clip": 0.1},
    {"train.switch_eval": True, "train.share_fake": False},
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


class Tutorial:
    """The published update rule, written with nn.Module, torch.optim and backward()."""

    def __init__(self, one: Bench, state: State, draws: Draws) -> None:
        self.g, self.d = TutorialGenerator(), TutorialDiscriminator()
        load(self.g, state.generator.params, G_NAMES)
        load(self.d, state.discriminator.params, D_NAMES)
        self.g_adam = torch.optim.Adam(self.g.parameters(), 1e-3, (0.4, 0.999))
        self.d_adam = torch.optim.Adam(self.d.parameters(), 2e-3, (0.6, 0.99))
        self.train, self.data = one.trial.train, one.data
        self.latents, self.rows = iter(draws.latents), iter(draws.indices)
        self.fake: Tensor | None = None

    def turns(self) -> Iterator[None]:
        turns = [self.d_turn, self.g_turn]
        if self.train.order == "generator_first":
            turns.reverse()
        while True:
            self.fake = None
            for turn in turns:
                turn()
            yield

    def take(self, *, is_first: bool, trained: bool) -> Tensor:
        """The other player's last fakes, or new ones."""
        if not (is_first and self.fake is not None and self.train.share_fake):
            self.g.train(trained or not self.train.switch_eval)
            self.fake = self.g(next(self.latents))
        assert self.fake is not None
        return self.fake

    def step(self, adam: torch.optim.Adam, loss: Tensor, player: nn.Module) -> None:
        adam.zero_grad()
        loss.backward()
        if self.train.grad_clip:
            nn.utils.clip_grad_norm_(player.parameters(), self.train.grad_clip)
        adam.step()

    def d_turn(self) -> None:
        bce = nn.BCEWithLogitsLoss()
        self.d.train()
        for i in range(self.train.d_steps):
            fake = self.take(is_first=i == 0, trained=False)
            real = self.d(self.data[next(self.rows)])
            judged = self.d(fake.detach())
            loss = (bce(real, torch.ones(8)) + bce(judged, torch.zeros(8))) / 2
            self.step(self.d_adam, loss, self.d)

    def g_turn(self) -> None:
        for i in range(self.train.g_steps):
            fake = self.take(is_first=i == 0, trained=True)
            loss = nn.BCEWithLogitsLoss()(self.d(fake), torch.ones(8))
            self.step(self.g_adam, loss, self.g)


@pytest.mark.parametrize("order", ORDERS, ids=str)
@pytest.mark.parametrize("form", ["in_place", "functional"])
def test_ten_rounds_equal_a_plain_pytorch_loop(order: dict[str, Any], form: str) -> None:
    one = bench(config(**order), SHAPE)
    tutorial = Tutorial(one, one.start(5), draw_epoch(one.trial, 10, SIZE, 5, 1, CPU))
    turns = tutorial.turns()
    for _ in range(10):
        next(turns)
    state, _ = one.solo(5, form)
    for ours, theirs, names in (
        (state.generator.params, tutorial.g, G_NAMES),
        (state.discriminator.params, tutorial.d, D_NAMES),
    ):
        expected = theirs.state_dict()
        for name, tensor in ours.items():
            torch.testing.assert_close(tensor, expected[names[name]], rtol=1e-4, atol=1e-6)
    ours, norm = state.generator.buffers, tutorial.g.norm
    torch.testing.assert_close(ours["1.norm.mean"], norm.running_mean, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(ours["1.norm.var"], norm.running_var, rtol=1e-4, atol=1e-6)


def test_an_epoch_leaves_the_state_it_was_given_as_it_was() -> None:
    one = bench(config(**{"train.ema": 0.9, "penalty.name": "lecam"}))
    before = one.start(3)
    copy = map_state(Tensor.clone, before)
    after, _ = one.solo(3, state=before)
    map_state(lambda a, b: torch.testing.assert_close(a, b, rtol=0, atol=0) or a, before, copy)
    assert not torch.equal(after.generator.params["0.weight"], before.generator.params["0.weight"])


def test_the_average_of_the_generators_weights_by_hand() -> None:
    """After t updates the decay is min(ema, (1 + t) / (10 + t))."""
    one = bench(config(**{"train.ema": 0.25, "train.steps_per_epoch": 1}))
    state = one.start(0)
    expected = state.generator.params["0.weight"].clone()
    for epoch, decay in ((1, 2 / 11), (2, 0.25), (3, 0.25)):
        state, _ = one.solo(0, state=state, epoch=epoch)
        expected = decay * expected + (1 - decay) * state.generator.params["0.weight"]
        torch.testing.assert_close(state.average["0.weight"], expected, rtol=1e-6, atol=1e-8)


def test_a_lazy_penalty_counts_its_rounds() -> None:
    """Every second round, and twice as much: what the trace says is what was added."""
    lazy = bench(config(**{"penalty.name": "r1", "penalty.every": 2, "train.steps_per_epoch": 4}))
    eager = bench(config(**{"penalty.name": "r1", "train.steps_per_epoch": 4}))
    lazy_terms, terms = (one.solo(0)[1].penalty for one in (lazy, eager))
    assert lazy_terms is not None and terms is not None
    assert lazy_terms[0] == pytest.approx(2 * terms[0].item(), rel=1e-6)
    assert lazy_terms[1] == lazy_terms[3] == 0 and lazy_terms[2] > 0


def test_content_is_the_pixels_distance_to_the_rounds_real_batch() -> None:
    one = bench(config(**{"loss.content_weight": 2.0, "train.steps_per_epoch": 1}))
    state, draws = one.start(4), draw_epoch(one.trial, 1, SIZE, 4, 1, CPU)
    _, trace = one.solo(4, state=state)
    g = state.generator
    fake, _ = one.generator(g.params, g.buffers, draws.latents[0], {}, train=True)
    expected = 2.0 * (fake - one.data[draws.indices[0]]).abs().mean()
    assert trace.content is not None
    torch.testing.assert_close(trace.content[0], expected)


def test_packing_shows_pairs_to_the_discriminator() -> None:
    """A pack of two is the neighbours of the batch, their channels joined."""
    packed = bench(config(**{"discriminator.pack": 2, "train.steps_per_epoch": 1}))
    _, trace = packed.solo(0)
    d = packed.start(0).discriminator
    draws = draw_epoch(packed.trial, 1, SIZE, 0, 1, CPU)
    real = packed.data[draws.indices[0]]
    weight, bias = d.params["0.weight"], d.params["0.bias"]
    pairs = torch.cat([real[0::2].flatten(1), real[1::2].flatten(1)], 1)
    hidden = F.leaky_relu(pairs @ weight.T + bias, 0.2)
    expected = (hidden @ d.params["1.weight"].T + d.params["1.bias"]).squeeze(1)
    assert trace.real is not None
    torch.testing.assert_close(trace.real[0], expected)


def test_what_only_speeds_a_trial_up_changes_no_result() -> None:
    conv = {"generator.name": "dcgan", "discriminator.name": "dcgan"}
    small = {"generator.features": 4, "discriminator.features": 4, "train.steps_per_epoch": 3}
    plain, _ = bench(config(**conv, **small)).solo(1)
    laid_out, _ = bench(config(**conv, **small, **{"train.channels_last": True})).solo(1)
    for name, tensor in plain.generator.params.items():
        torch.testing.assert_close(laid_out.generator.params[name], tensor, rtol=0, atol=2e-4)


@pytest.mark.long
@pytest.mark.filterwarnings("ignore")  # the compiler's own
def test_compiled_networks_train_alike() -> None:
    plain, _ = bench(config(**{"train.steps_per_epoch": 3})).solo(1)
    compiled, _ = bench(config(**{"train.steps_per_epoch": 3, "train.compile": True})).solo(1)
    for name, tensor in plain.generator.params.items():
        torch.testing.assert_close(compiled.generator.params[name], tensor, rtol=0, atol=1e-4)


def test_bf16_is_near_fp32_and_keeps_fp32_weights() -> None:
    _, trace = bench(config(**{"train.steps_per_epoch": 3})).solo(1)
    rough, rough_trace = bench(
        config(**{"train.steps_per_epoch": 3, "train.precision": "bf16"})
    ).solo(1)
    assert {t.dtype for t in rough.generator.params.values()} == {torch.float32}
    assert trace.real is not None and rough_trace.real is not None
    assert rough_trace.real.dtype == torch.float32
    assert not torch.equal(rough_trace.real, trace.real)
    torch.testing.assert_close(rough_trace.real, trace.real, rtol=0, atol=0.05)


@pytest.mark.parametrize("penalty", ["wgan_gp", "r1"])
def test_fused_steps_are_right_for_a_convolution_with_a_gradient_penalty(penalty: str) -> None:
    """Its gradients come with other strides than its weights: torch's kernel errs in silence."""
    conv = {"discriminator.name": "dcgan", "discriminator.norm": "none"}
    small = {"discriminator.features": 4, "train.steps_per_epoch": 3, "penalty.name": penalty}
    one = bench(config(**conv, **small), (1, 16, 16))
    fused, _ = one.solo(2, "in_place")
    functional, _ = one.solo(2, "functional")
    for name, tensor in functional.discriminator.params.items():
        torch.testing.assert_close(fused.discriminator.params[name], tensor, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["mlp", "dcgan", "basic", "resnet", "dense_residual"])
def test_bf16_trains_every_discriminator(name: str) -> None:
    """With spectral norm, whose vectors stay float32."""
    changes = {"discriminator.name": name, "discriminator.norm": "spectral"}
    features = {} if name == "mlp" else {"discriminator.features": 2}
    speed = {"train.precision": "bf16", "train.steps_per_epoch": 2}
    base = config(**{"discriminator.hidden": [7, 6]}) if name == "mlp" else config()
    state, _ = bench(with_values(base, changes | features | speed)).solo(1)
    vectors = [b for n, b in state.discriminator.buffers.items() if n.endswith(".u")]
    assert vectors and all(vector.dtype == torch.float32 for vector in vectors)
