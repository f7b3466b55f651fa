"""Who trains when: the rules, and that a pause is one."""

from typing import Any

import pytest
import torch
from lab import Bench, bench, config

from gantune.engine.balance import (
    BOTH,
    ONLY_DISCRIMINATOR,
    ONLY_GENERATOR,
    Signals,
    by_accuracy,
    by_loss,
)
from gantune.engine.state import State
from gantune.engine.summary import summarise
from gantune.parts.training import AccuracyBalance, LossBalance


def test_the_adaptive_switcher_is_fastais() -> None:
    """It goes on with a player until its loss is under the threshold; null alternates."""
    rule = LossBalance(generator=0.5, discriminator=1.0)
    high, low = Signals(2.0, 2.0, 0.5), Signals(0.4, 0.4, 0.5)
    assert by_loss(rule, ONLY_DISCRIMINATOR, high) == ONLY_DISCRIMINATOR
    assert by_loss(rule, ONLY_DISCRIMINATOR, low) == ONLY_GENERATOR
    assert by_loss(rule, ONLY_GENERATOR, high) == ONLY_GENERATOR
    assert by_loss(rule, ONLY_GENERATOR, low) == ONLY_DISCRIMINATOR
    assert by_loss(LossBalance(), ONLY_GENERATOR, high) == ONLY_DISCRIMINATOR
    assert by_loss(LossBalance(), ONLY_DISCRIMINATOR, high) == ONLY_GENERATOR


def test_the_accuracy_band_pauses_whoever_is_ahead() -> None:
    band = AccuracyBalance(low=0.4, high=0.8)
    assert by_accuracy(band, BOTH, Signals(1.0, 1.0, 0.6)) == BOTH
    assert by_accuracy(band, BOTH, Signals(1.0, 1.0, 0.9)) == ONLY_GENERATOR
    assert by_accuracy(band, BOTH, Signals(1.0, 1.0, 0.3)) == ONLY_DISCRIMINATOR


def one_round(**changes: Any) -> tuple[Bench, State, State]:
    one = bench(config(**{"train.steps_per_epoch": 1, **changes}))
    return one, one.start(0), one.solo(0)[0]


def moved(before: dict[str, torch.Tensor], after: dict[str, torch.Tensor]) -> bool:
    return any(not torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize(
    ("order", "d_moves"), [("discriminator_first", True), ("generator_first", False)]
)
def test_players_alternate_from_the_first_of_the_order(order: str, d_moves: bool) -> None:
    changes = {"train.balance.name": "loss", "train.order": order}
    one, before, after = one_round(**changes)
    assert moved(before.discriminator.params, after.discriminator.params) == d_moves
    assert moved(before.generator.params, after.generator.params) != d_moves
    # The turn goes on over the end of an epoch.
    second, _ = one.solo(0, state=after, epoch=2)
    assert moved(after.generator.params, second.generator.params) == d_moves


def test_a_discriminator_that_is_too_good_pauses_and_is_still_watched() -> None:
    one = bench(
        config(
            **{
                "train.balance.name": "accuracy",
                "train.balance.high": 0.0,
                "train.steps_per_epoch": 4,
            }
        )
    )
    state, trace = one.solo(0)
    assert state.discriminator.counters["step"] == 1  # the first round, before anything was seen
    assert state.generator.counters["step"] == 4
    assert trace.d_rounds == (0, 1, 2, 3)
    assert trace.d_norms is not None and len(trace.d_norms) == 1
    summary = summarise(trace, one.static.loss, 4)
    assert all(row["d_acc"] is not None for row in summary.rounds)


def test_rounds_without_a_player_leave_no_loss_of_it() -> None:
    one = bench(config(**{"train.balance.name": "loss", "train.steps_per_epoch": 4}))
    _, trace = one.solo(0)
    rows = summarise(trace, one.static.loss, 4).rounds
    assert [row["g_loss"] is None for row in rows] == [True, False, True, False]
    assert [row["d_loss"] is None for row in rows] == [False, True, False, True]


def test_an_idle_generator_in_eval_mode_keeps_its_statistics() -> None:
    changes = {"train.switch_eval": True, "train.share_fake": False, "train.balance.name": "loss"}
    one, before, after = one_round(**changes)
    assert not moved(before.generator.buffers, after.generator.buffers)
    second, _ = one.solo(0, state=after, epoch=2)
    assert moved(after.generator.buffers, second.generator.buffers)
