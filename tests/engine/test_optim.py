"""Optimizers: both forms of each against ``torch.optim``."""

from typing import Any

import pytest
import torch
from torch import Tensor

from gantune.engine.optim import (
    OPTIMIZERS,
    functional_update,
    in_place_update,
    make_rates,
    new_player,
)
from gantune.engine.schedules import noise_levels, schedule_factors
from gantune.engine.state import Player
from gantune.parts.optimizers import Adam, AdamW, Constant, Cosine, Linear, RmsProp, Sgd

CPU = torch.device("cpu")
ROUNDS = 6
FACTORS = [1.0, 0.9, 0.5, 0.25, 0.1, 0.0]

CASES: list[tuple[Any, type[torch.optim.Optimizer], dict[str, Any]]] = [
    (
        Adam(lr=0.01, beta1=0.3, beta2=0.9, eps=1e-3),
        torch.optim.Adam,
        {"betas": (0.3, 0.9), "eps": 1e-3},
    ),
    (
        AdamW(lr=0.01, beta1=0.3, beta2=0.9, weight_decay=0.1),
        torch.optim.AdamW,
        {"betas": (0.3, 0.9), "weight_decay": 0.1},
    ),
    (
        RmsProp(lr=0.01, alpha=0.8, eps=1e-4),
        torch.optim.RMSprop,
        {"alpha": 0.8, "eps": 1e-4},
    ),
    (Sgd(lr=0.1, momentum=0.7), torch.optim.SGD, {"momentum": 0.7}),
]


def start(name: str) -> Player:
    rng = torch.Generator().manual_seed(0)
    # A convolution's weight: four axes, so that strides can differ.
    params = {
        "a": torch.randn(3, 4, generator=rng),
        "b": torch.randn(5, generator=rng),
        "c": torch.randn(4, 2, 3, 3, generator=rng),
    }
    return new_player(params, {}, name)


def gradients(number: int, player: Player) -> list[Tensor]:
    """Gradients with strides other than the parameters', as a penalty's often have."""
    rng = torch.Generator().manual_seed(number)
    flipped = [torch.randn(p.shape[::-1], generator=rng) for p in player.params.values()]
    return [g.permute(*reversed(range(g.dim()))) for g in flipped]


@pytest.mark.parametrize("form", ["in_place", "functional"])
@pytest.mark.parametrize(("options", "reference", "arguments"), CASES, ids=lambda x: str(x)[:12])
def test_six_steps_equal_torchs(
    options: Any, reference: Any, arguments: dict[str, Any], form: str
) -> None:
    player = start(options.name)
    theirs = [torch.nn.Parameter(p.clone()) for p in player.params.values()]
    optimizer = reference(theirs, lr=options.lr, **arguments)
    if form == "in_place":
        update = in_place_update(options, FACTORS)
    else:
        update = functional_update(options.name, make_rates(options, FACTORS, CPU))
    for number in range(ROUNDS):
        given = gradients(number, player)
        for parameter, gradient in zip(theirs, given, strict=True):
            parameter.grad = gradient.clone()
        for group in optimizer.param_groups:
            group["lr"] = options.lr * FACTORS[number]
        optimizer.step()
        player = update(player, given, number)
    for found, expected in zip(player.params.values(), theirs, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
    assert player.counters["step"] == ROUNDS


def test_every_optimizer_has_a_case() -> None:
    assert {options.name for options, _, _ in CASES} == set(OPTIMIZERS)


def test_schedules_by_hand() -> None:
    linear = Linear(begin=0.5, final=0.2)
    assert schedule_factors(linear, 1, 2, 4) == [1.0, 1.0]  # shares 0 and 1/8 are done
    # Shares 6/8 and 7/8: half and three quarters of the way from 1 to 0.2.
    assert schedule_factors(linear, 4, 2, 4) == pytest.approx([0.6, 0.4])
    assert schedule_factors(Cosine(), 2, 1, 3) == pytest.approx([0.75])  # (1 + cos(pi/3)) / 2
    assert schedule_factors(Cosine(final=0.1), 3, 1, 4) == pytest.approx([0.55])
    assert schedule_factors(Constant(warmup_epochs=2), 1, 4, 9) == [0.125, 0.25, 0.375, 0.5]
    assert schedule_factors(Constant(warmup_epochs=2), 3, 2, 9) == [1.0, 1.0]


def test_instance_noise_falls_to_nothing() -> None:
    assert noise_levels(0.4, 2.0, 1, 2) == pytest.approx([0.4, 0.3])
    assert noise_levels(0.4, 2.0, 2, 2) == pytest.approx([0.2, 0.1])
    assert noise_levels(0.4, 2.0, 3, 2) == [0.0, 0.0]
