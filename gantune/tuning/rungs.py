"""Asynchronous successive halving, the stopping variant (Li et al., arXiv 1810.05934). No ray."""

import math
from collections.abc import Collection, Sequence

from gantune.goals import Standing

WORST = Standing(misses=True, value=math.inf)


def comparable(standing: Standing | None) -> Standing:
    """A trial's standing at a rung; no value, or NaN, is worse than any number."""
    return WORST if standing is None or math.isnan(standing.value) else standing


class Rungs:
    """The values that trials had at each rung, and who may go on.

    Filled by calling :meth:`observe` in the order in which records arrived, live or from a table;
    a record that comes again changes nothing. Keyed by our trial numbers.
    """

    lets_wait = False

    def __init__(self, levels: Sequence[float], factor: int) -> None:
        """Makes empty rungs.

        Args:
            levels: Their names: epochs or seconds.
            factor: Of the trials at a rung, one in this many goes on.
        """
        self._values: dict[float, dict[int, Standing]] = {level: {} for level in levels}
        self._factor = factor

    def observe(self, number: int, level: float, standing: Standing | None) -> bool:
        """Notes a trial's standing at a rung and says whether it goes on.

        It goes on if it is among the best 1/factor (at least one) of those seen at this rung so
        far, itself included; the first therefore always does, and so do trials without a value
        for as long as no other has one.

        Args:
            number: The trial.
            level: What is no rung is passed over.
            standing: Of its latest epoch that was evaluated; None or NaN is worse than any number.
        """
        rung = self._values.get(level)
        if rung is None or number in rung:
            return True
        own = rung[number] = comparable(standing)
        kept = max(1, len(rung) // self._factor)
        return own <= sorted(rung.values())[kept - 1]

    @property
    def waiting(self) -> Collection[int]:
        """Nobody: who does not go on has ended."""
        return ()

    def leave(self, number: int) -> None:
        """Nothing: nobody waits."""

    def promote(self, at_least: int) -> int | None:
        """None: nobody waits."""
        return None
