"""Schedules of the learning rates: the factor on them at each round of an epoch."""

import math
from collections.abc import Callable
from typing import Any

from gantune.parts.optimizers import Constant, Cosine, Linear


def _constant(options: Constant, done: float) -> float:
    return 1.0


def _linear(options: Linear, done: float) -> float:
    fallen = max(done - options.begin, 0) / (1 - options.begin)
    return 1 - (1 - options.final) * fallen


def _cosine(options: Cosine, done: float) -> float:
    """Loshchilov & Hutter 2017 (arXiv 1608.03983), equation 5, one period."""
    return options.final + (1 - options.final) * (1 + math.cos(math.pi * done)) / 2


SCHEDULES: dict[str, Callable[[Any, float], float]] = {
    "constant": _constant,
    "linear": _linear,
    "cosine": _cosine,
}
"""(options, share of the training that is done) -> factor."""


def schedule_factors(
    options: Constant | Linear | Cosine, epoch: int, rounds: int, epochs: int
) -> list[float]:
    """The factor on the learning rates at each round of an epoch.

    Args:
        options: The schedule.
        epoch: Counted from 1.
        rounds: Rounds of an epoch.
        epochs: Length of the training.
    """
    factors = []
    for number in range(rounds):
        elapsed = epoch - 1 + number / rounds
        factor = SCHEDULES[options.name](options, elapsed / epochs)
        if options.warmup_epochs:
            # The first round has a rate, too.
            factor *= min((elapsed + 1 / rounds) / options.warmup_epochs, 1.0)
        factors.append(factor)
    return factors


def noise_levels(start: float, over: float, epoch: int, rounds: int) -> list[float]:
    """Standard deviation of the instance noise at each round: linear to 0 (Sønderby et al. 2017).

    Args:
        start: At the start.
        over: Epochs until it is 0.
        epoch: Counted from 1.
        rounds: Rounds of an epoch.
    """
    return [start * max(1 - (epoch - 1 + i / rounds) / over, 0.0) for i in range(rounds)]
