"""Each tutorial's study against a transcription of its published update rule, for 20 updates.

Both sides get the same initial weights, batches, noise and dropout masks, in float64: in float32
another processor's rounding grows by up to a thousandfold a round. Biases in front of batch norm
are left out of the comparison: their gradient is rounding noise, and Adam makes steps of it; the
images, which do not depend on them, are compared instead.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
import transcripts as tut
from lab import CPU, SIZE, Bench, bench
from torch import Tensor, nn

from gantune.config import TrialConfig
from gantune.engine.draws import KeyedNoise, draw_epoch
from gantune.engine.state import State
from gantune.engine.summary import summarise
from gantune.loader import load_study
from gantune.metrics.reference import one_thread
from gantune.study import with_values

SEEDS = Path(__file__).parent.parent.parent / "search_spaces" / "seeds"
BATCH = 8
NEAR = 1e-6
Networks = Callable[[tut.Masks], tuple[nn.Module, nn.Module]]


class Seed(NamedTuple):
    """A study and its tutorial.

    Attributes:
        name: Of the study.
        shape: Of its images.
        networks: The tutorial's networks.
        rule: Makes one round of its update rule.
        rounds: Enough for 20 updates.
        unit: Whether it works on images in [0, 1].
        mirrored: Whether its critic is low on real images.
    """

    name: str
    shape: tuple[int, int, int]
    networks: Networks
    rule: Callable[[], tut.Rule]
    rounds: int
    unit: bool = False
    mirrored: bool = False


MNIST, WIDE, SMALL = (1, 28, 28), (1, 32, 32), (1, 16, 16)


def plain(latent: int, shape: tuple[int, int, int]) -> Networks:
    return lambda masks: (
        tut.pytorch_gan_generator(latent, shape),
        tut.pytorch_gan_discriminator(shape),
    )


ALL = [
    Seed("torchbearer_gan", MNIST, plain(100, MNIST), lambda: tut.pytorch_gan_rule, 10),
    Seed("jrtechs_gan", WIDE, plain(128, WIDE), lambda: tut.pytorch_gan_rule, 10),
    Seed("jrtechs_dcgan", WIDE, tut.pytorch_gan_dcgan, lambda: tut.pytorch_gan_rule, 10),
    Seed("jrtechs_wgan", MNIST, plain(100, MNIST), lambda: tut.pytorch_wgan_rule, 4),
    Seed(
        "fastai_wgan",
        WIDE,
        lambda masks: tut.fastai_basic(32),
        lambda: tut.fastai_wgan_rule,
        4,
        mirrored=True,
    ),
    Seed(
        "fastai_adaptive",
        SMALL,
        lambda masks: (tut.fastai_basic(16)[0], tut.fastai_gan_critic(32, 16, masks)),
        tut.FastaiAdaptiveRule,
        20,
    ),
    Seed(
        "university_mlp",
        MNIST,
        lambda masks: tut.university_nets(),
        lambda: tut.university_rule,
        10,
        unit=True,
    ),
    Seed(
        "jinglescode_gan",
        MNIST,
        lambda masks: tut.jinglescode_nets(),
        lambda: tut.jinglescode_rule,
        10,
        unit=True,
    ),
]


def prepared(seed: Seed) -> Bench:
    overrides = [
        f"train.steps_per_epoch={seed.rounds}",
        f"train.batch_size={BATCH}",
        "train.epochs=1",
    ]
    return in_float64(load_study(SEEDS / f"{seed.name}.yaml", overrides).trial, seed)


def in_float64(trial: TrialConfig, seed: Seed) -> Bench:
    one = bench(trial, seed.shape)
    return one._replace(data=one.data.double())


def ordered(network: Any, params: dict[str, Tensor]) -> Iterator[Tensor]:
    """Parameters in the order in which the network's layers have them."""
    names, _ = network.init(torch.Generator())
    return (params[name] for name in names)


def in_order(module: nn.Module) -> Iterator[nn.Parameter]:
    """Parameters by layer, weight before bias; torch lists a spectral weight behind its bias."""
    for part in module.modules():
        own = dict(part.named_parameters(recurse=False))
        if "weight_orig" in own:
            yield own.pop("weight_orig")
        yield from own.values()


@torch.no_grad()
def copy_into(module: nn.Module, values: Iterator[Tensor]) -> None:
    for parameter, value in zip(in_order(module), values, strict=True):
        parameter.copy_(value.view_as(parameter))


@torch.no_grad()
def copy_vectors(module: nn.Module, vectors: Iterator[Tensor]) -> None:
    """The left singular vectors of spectral norm."""
    for part in module.modules():
        if hasattr(part, "weight_u"):
            part.weight_u.copy_(next(vectors))


def optimizers(one: Bench, g: nn.Module, d: nn.Module) -> list[torch.optim.Optimizer]:
    """The tutorial's, with the rates of the study."""
    made: list[torch.optim.Optimizer] = []
    for module, name in ((g, "generator"), (d, "discriminator")):
        options = getattr(one.trial.optimizer, name)
        if options.name == "rmsprop":
            made.append(torch.optim.RMSprop(module.parameters(), options.lr, options.alpha))
        else:
            betas = (options.beta1, options.beta2)
            made.append(torch.optim.Adam(module.parameters(), options.lr, betas, options.eps))
    return made


def transcribe(seed: Seed, one: Bench, start: State) -> tut.Rounds:
    """Runs the tutorial's rounds on the trial's weights, batches, noise and masks."""
    noise = KeyedNoise(CPU, 3, 1)
    g, d = (network.double() for network in seed.networks(noise.uniform))
    copy_into(g, ordered(one.generator, start.generator.params))
    copy_into(d, ordered(one.discriminator, start.discriminator.params))
    _, buffers = one.discriminator.init(torch.Generator())
    copy_vectors(d, (start.discriminator.buffers[n] for n in buffers if n.endswith(".u")))
    if seed.mirrored:
        with torch.no_grad():
            list(in_order(d))[-1].neg_()
    draws = draw_epoch(one.trial, one.rounds, SIZE, 3, 1, CPU)
    data = (one.data + 1) / 2 if seed.unit else one.data
    reals = (data[rows] for rows in draws.indices)
    flat = (real.flatten(1) for real in reals) if seed.unit else reals
    rounds = tut.Rounds(g, d, *optimizers(one, g, d), flat, iter(draws.latents.double()))
    rule = seed.rule()
    for _ in range(seed.rounds):
        rule(rounds)
    return rounds


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Sums of two threads are rounded in another order for other shapes of batch."""
    with one_thread():
        yield


@pytest.mark.slow
@pytest.mark.parametrize("seed", ALL, ids=lambda seed: seed.name)
def test_twenty_updates_agree_with_the_tutorial(seed: Seed) -> None:
    one = prepared(seed)
    start = one.start(3)
    if seed.mirrored:
        # fastai clips before the first step, too.
        clipped = {n: p.clamp(-tut.CLIP, tut.CLIP) for n, p in start.discriminator.params.items()}
        start = start._replace(discriminator=start.discriminator._replace(params=clipped))
    rounds = transcribe(seed, one, start)
    end, trace = one.solo(3, state=start)
    rows = summarise(trace, one.static.loss, one.rounds).rounds
    g_losses = [row["g_loss"] for row in rows if row["g_loss"] is not None]
    assert trace.real is not None and trace.fake is not None
    d_losses = one.static.loss.discriminator(trace.real, trace.fake).total.tolist()
    assert len(d_losses) + len(g_losses) >= 20
    assert g_losses == pytest.approx(rounds.g_losses, abs=NEAR)
    assert d_losses == pytest.approx(rounds.d_losses, abs=NEAR)
    assert_same_images(seed, one, end, rounds.g)


def assert_same_images(seed: Seed, one: Bench, end: State, g: nn.Module) -> None:
    z = torch.randn(
        BATCH,
        one.trial.generator.latent_dim,
        generator=torch.Generator().manual_seed(1),
        dtype=torch.float64,
    )
    ours, _ = one.generator(end.generator.params, end.generator.buffers, z, {}, train=True)
    with torch.no_grad():
        theirs = g(z).view_as(ours)
    expected = 2 * theirs - 1 if seed.unit else theirs
    torch.testing.assert_close(ours, expected, rtol=0, atol=NEAR)


def test_every_seed_has_a_transcription() -> None:
    assert {seed.name for seed in ALL} == {path.stem for path in SEEDS.glob("*.yaml")}


def test_another_order_would_be_noticed() -> None:
    """The control: the study with the discriminator first against the published order."""
    one = prepared(ALL[0])
    trial = with_values(one.trial, {"train.order": "discriminator_first"})
    rounds = transcribe(ALL[0], one, one.start(3))
    swapped = in_float64(trial, ALL[0])
    _, trace = swapped.solo(3, state=one.start(3))
    assert trace.generated is not None
    g_losses = [swapped.static.loss.generator(row, None).item() for row in trace.generated]
    difference = max(abs(a - b) for a, b in zip(g_losses, rounds.g_losses, strict=True))
    assert difference > 1e-4
