"""Who trains in the next round: rules that look at values, once per round, outside the step.

They make the host wait for the device, and trials with such a rule do not train stacked.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from gantune.parts.training import AccuracyBalance, FixedBalance, LossBalance


class Turn(NamedTuple):
    """Which players are updated in a round."""

    discriminator: bool
    generator: bool


class Signals(NamedTuple):
    """What the last updates showed; None for a player that had none yet."""

    d_loss: float | None
    g_loss: float | None
    d_acc: float | None


BOTH = Turn(discriminator=True, generator=True)
ONLY_DISCRIMINATOR = Turn(discriminator=True, generator=False)
ONLY_GENERATOR = Turn(discriminator=False, generator=True)
TURNS = (BOTH, ONLY_DISCRIMINATOR, ONLY_GENERATOR)

Rule = Callable[[Turn, Signals], Turn]
"""(this round's turn, what it showed) -> the next round's turn."""


def by_loss(options: LossBalance, turn: Turn, signals: Signals) -> Turn:
    """Goes on with a player until its loss is under its threshold.

    fastai's ``AdaptiveGANSwitcher``; without thresholds the players alternate.
    """
    if turn.generator:
        loss, threshold, other = signals.g_loss, options.generator, ONLY_DISCRIMINATOR
    else:
        loss, threshold, other = signals.d_loss, options.discriminator, ONLY_GENERATOR
    assert loss is not None
    return other if threshold is None or loss < threshold else turn


def by_accuracy(options: AccuracyBalance, turn: Turn, signals: Signals) -> Turn:
    """Pauses the discriminator above the band, the generator below it."""
    assert signals.d_acc is not None
    return Turn(
        discriminator=signals.d_acc <= options.high,
        generator=signals.d_acc >= options.low,
    )


RULES: dict[str, Callable[[Any, Turn, Signals], Turn] | None] = {
    "fixed": None,
    "loss": by_loss,
    "accuracy": by_accuracy,
}
"""By name; None where every round is for both."""


def make_rule(options: FixedBalance | LossBalance | AccuracyBalance) -> Rule | None:
    """The rule with its thresholds."""
    rule = RULES[options.name]
    return None if rule is None else partial(rule, options)


def first_turn(options: FixedBalance | LossBalance | AccuracyBalance, order: str) -> Turn:
    """Who trains in the first round of a trial."""
    if not isinstance(options, LossBalance):
        return BOTH
    return ONLY_GENERATOR if order == "generator_first" else ONLY_DISCRIMINATOR
