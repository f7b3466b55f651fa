"""Every legal network x loss x penalty: the same step stacked and solo, and without a host sync."""

from typing import Any

import pytest
import torch
from lab import SIZE, bench, config, stacked
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode

from gantune.engine.draws import draw_epoch
from gantune.engine.engine import generate, trainable
from gantune.engine.epoch import run_epoch
from gantune.engine.forms import Updates
from gantune.engine.losses import LOSSES
from gantune.engine.networks import DISCRIMINATORS, GENERATORS
from gantune.engine.penalties import PENALTIES
from gantune.engine.state import map_state
from gantune.parts.penalties import GRADIENT_PENALTIES

CPU = torch.device("cpu")

PAIRS = {
    "mlp": {},
    "maxout": {"discriminator.name": "maxout", "discriminator.hidden": [4, 4]},
    "dcgan": {"generator.name": "dcgan", "discriminator.name": "dcgan"},
    "basic": {"generator.name": "basic", "discriminator.name": "basic"},
    "upsample": {"generator.name": "upsample", "discriminator.name": "upsample"},
    "resnet": {"generator.name": "resnet", "discriminator.name": "resnet"},
    "dense_residual": {"generator.name": "resnet", "discriminator.name": "dense_residual"},
}


def pair(name: str) -> dict[str, Any]:
    """A small pair of networks."""
    changes: dict[str, Any] = {**PAIRS[name], "train.steps_per_epoch": 5}
    for player in ("generator", "discriminator"):
        if changes.get(f"{player}.name") not in (None, "mlp", "maxout"):
            changes[f"{player}.features"] = 2
    return changes


def test_every_network_is_in_a_pair() -> None:
    names = {
        "mlp",
        *(
            value
            for changes in PAIRS.values()
            for value in changes.values()
            if isinstance(value, str)
        ),
    }
    assert names == set(GENERATORS) | set(DISCRIMINATORS)


def _how_long(loss: str, penalty: str) -> tuple[pytest.MarkDecorator, ...]:
    """Every loss and every penalty with every network is enough but for `make test-long`."""
    is_usual = loss == "non_saturating" or penalty == "none"
    return () if is_usual else (pytest.mark.long,)


COMBINATIONS = [
    pytest.param(
        network,
        loss,
        penalty,
        id=f"{network}-{loss}-{penalty}",
        marks=_how_long(loss, penalty),
    )
    for network in PAIRS
    for loss in sorted(LOSSES)
    for penalty in sorted(PENALTIES)
]


def combined(network: str, loss: str, penalty: str) -> dict[str, Any]:
    changes = pair(network) | {"loss.name": loss, "penalty.name": penalty}
    if penalty in GRADIENT_PENALTIES and network in ("dcgan", "basic", "upsample"):
        changes["discriminator.norm"] = "layer"  # batch norm with these is refused
    return changes


OPTIONS: list[dict[str, Any]] = [
    {"train.d_steps": 3},
    {"train.g_steps": 2, "train.share_fake": False},
    {"train.order": "generator_first", "train.d_steps": 2},
    {"train.order": "generator_first", "train.share_fake": False},
    {"train.switch_eval": True, "train.share_fake": False, "discriminator.norm": "batch"},
    {"train.joint_batch": False},
    {"train.joint_batch": True, "discriminator.norm": "batch", "discriminator.hidden": [7, 6]},
    {"train.ema": 0.9},
    {"train.grad_clip": 0.05},
    {"loss.label_smoothing": 0.1, "loss.label_flip": 0.2},
    {"loss.name": "least_squares", "loss.label_flip": 0.2},
    {"loss.content_weight": 3.0},
    {"loss.instance_noise": 0.3},
    {"loss.name": "relativistic", "train.g_steps": 2},
    {"penalty.name": "wgan_gp", "penalty.every": 5, "train.d_steps": 2},
    {"augment.color": True, "augment.translation": True, "augment.cutout": True},
    {"augment.flip": True},
    {"discriminator.pack": 2, "discriminator.minibatch_std": True, "penalty.name": "wgan_gp"},
    {"discriminator.dropout": 0.4, "generator.dropout": 0.3, "penalty.name": "r1"},
    {"discriminator.dropout": 0.4, "discriminator.pack": 2, "discriminator.unit_input": True},
    {"discriminator.norm": "spectral", "penalty.name": "wgan_gp"},
    {"generator.norm": "layer", "discriminator.norm": "layer"},
    {"generator.name": "dcgan", "generator.features": 2, "generator.norm": "instance"},
    {
        "discriminator.name": "dcgan",
        "discriminator.features": 2,
        "discriminator.norm": "instance",
        "discriminator.dropout": 0.2,
        "penalty.name": "r1",
    },
    {"schedule.name": "cosine", "schedule.warmup_epochs": 0.5},
    *(
        {f"optimizer.{player}.name": name for player in ("generator", "discriminator")}
        for name in ("adamw", "rmsprop", "sgd")
    ),
]


def assert_stacked_is_solo(changes: dict[str, Any]) -> None:
    rates = (1e-3, 3e-4, 2e-3)
    trials = [
        config(**changes, **{"optimizer.generator.lr": lr, "optimizer.discriminator.lr": lr / 2})
        for lr in rates
    ]
    benches = [bench(trial) for trial in trials]
    lanes, trace = stacked(benches)
    latents = torch.randn(20, 3, generator=torch.Generator().manual_seed(9))
    for seed, (one, lane) in enumerate(zip(benches, lanes, strict=True)):
        alone, alone_trace = one.solo(seed, "functional")
        expected = generate(one.generator, alone, latents)
        found = generate(one.generator, lane, latents)
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)
        for ours, theirs in zip(trace, alone_trace, strict=True):
            if not isinstance(ours, torch.Tensor) or not isinstance(theirs, torch.Tensor):
                assert ours == theirs
                continue
            torch.testing.assert_close(ours[seed], theirs, rtol=2e-3, atol=1e-2)


@pytest.mark.slow
@pytest.mark.parametrize(("network", "loss", "penalty"), COMBINATIONS)
def test_three_stacked_trials_give_what_three_solo_runs_give(
    network: str, loss: str, penalty: str
) -> None:
    assert_stacked_is_solo(combined(network, loss, penalty))


@pytest.mark.slow
@pytest.mark.parametrize("changes", [pair(name) for name in PAIRS] + OPTIONS, ids=str)
def test_so_does_every_option(changes: dict[str, Any]) -> None:
    assert_stacked_is_solo({"train.steps_per_epoch": 5, **changes})


def run_on_fake_tensors(changes: dict[str, Any], form: str) -> None:
    one = bench(config(**{"train.steps_per_epoch": 2, **changes}))
    draws = draw_epoch(one.trial, one.rounds, SIZE, 0, 1, CPU)
    with FakeTensorMode() as mode:
        end, trace = run_epoch(
            one.static,
            trainable(map_state(mode.from_tensor, one.start(0))),
            type(one.hyper())(*map(mode.from_tensor, one.hyper())),
            draws._replace(
                indices=mode.from_tensor(draws.indices), latents=mode.from_tensor(draws.latents)
            ),
            mode.from_tensor(one.data).__getitem__,
            one.nets(),
            one.updates(form) if form == "in_place" else fake_rates(one, mode),
        )
    assert trace.real is not None and trace.real.shape[0] == one.rounds * one.static.d_steps
    assert end.generator.params.keys() == one.start(0).generator.params.keys()


def fake_rates(one: Any, mode: FakeTensorMode) -> Updates:
    """Functional updates whose rates are fake, too."""
    with mode:
        return one.updates("functional")


@pytest.mark.slow
@pytest.mark.parametrize(("network", "loss", "penalty"), COMBINATIONS)
def test_the_step_never_reads_a_value(network: str, loss: str, penalty: str) -> None:
    """On fake tensors there are no values: reading one, or branching on one, raises."""
    changes = combined(network, loss, penalty) | {"train.steps_per_epoch": 2}
    run_on_fake_tensors(changes, "functional")


@pytest.mark.parametrize("form", ["in_place", "functional"])
@pytest.mark.parametrize("changes", OPTIONS, ids=str)
def test_no_option_reads_a_value(changes: dict[str, Any], form: str) -> None:
    every = {"penalty.every": 2} if "penalty.every" in changes else {}
    run_on_fake_tensors(changes | every, form)


def test_a_host_sync_in_the_step_would_be_caught() -> None:
    """The control of the tests above."""
    one = bench(config())
    draws = draw_epoch(one.trial, one.rounds, SIZE, 0, 1, CPU)

    def peeks(player: Any, gradients: Any, number: int) -> Any:
        float(gradients[0].sum())
        return player

    with FakeTensorMode() as mode, pytest.raises(DataDependentOutputException):
        run_epoch(
            one.static,
            trainable(map_state(mode.from_tensor, one.start(0))),
            type(one.hyper())(*map(mode.from_tensor, one.hyper())),
            draws._replace(
                indices=mode.from_tensor(draws.indices), latents=mode.from_tensor(draws.latents)
            ),
            mode.from_tensor(one.data).__getitem__,
            one.nets(),
            Updates(peeks, peeks),
        )
