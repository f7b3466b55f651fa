"""Searches in simulated time: slots that train side by side, every epoch as long as any other."""

from itertools import cycle
from typing import Any, NamedTuple

from search_arms import Arm, Curves, Running
from search_surrogate import Curve


class Spent(NamedTuple):
    """An epoch of a search.

    Attributes:
        key: Its arm's name of the trial.
        epoch: Of the trial, from 1.
        objective: Measured after it, as a shortfall; None: nothing.
    """

    key: Any
    epoch: int
    objective: float | None


class _Slot:
    """Trains one trial after the other."""

    def __init__(self, arm: Arm, curves: Curves) -> None:
        self._arm, self._curves = arm, curves
        self._trial: tuple[Running, Curve] | None = None
        self._epoch = 0

    def train(self) -> Spent | None:
        """Trains an epoch; None where there is no trial left to begin."""
        if self._trial is None:
            running = self._arm.ask()
            if running is None:
                return None
            self._trial = running, self._curves.curve(running.values, running.seed)
            self._epoch = running.trained
        running, curve = self._trial
        self._epoch += 1
        if not self._arm.tell(running, self._epoch, curve):
            self._trial = None
        return Spent(running.key, self._epoch, curve.objective(self._epoch))


def simulate(arm: Arm, curves: Curves, epochs: int, slots: int) -> list[Spent]:
    """Runs a search until it has spent its epochs, or all its slots stand still.

    Args:
        arm: The search.
        curves: What trials are like.
        epochs: Of all trials together.
        slots: Trials at once.

    Returns:
        Its epochs in the order in which they ended.
    """
    spent: list[Spent] = []
    idle = 0
    for slot in cycle([_Slot(arm, curves) for _ in range(slots)]):
        if len(spent) == epochs or idle == slots:
            break
        epoch = slot.train()
        idle = 0 if epoch else idle + 1
        spent += [epoch] if epoch else []
    return spent
