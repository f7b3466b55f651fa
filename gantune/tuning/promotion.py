"""Asynchronous successive halving as it was published (Li et al., arXiv 1810.05934). No ray.

A trial waits at its rung until it is among the best 1/factor of all that have come by, however
late the others come. The stopping variant (:mod:`gantune.tuning.rungs`) decides when it arrives:
there the first trials of a study go far because nobody was there before them, and one that starts
slowly is gone for good.
"""

from collections.abc import Collection, Sequence

from gantune.goals import Standing
from gantune.tuning.rungs import comparable


class Promotions:
    """The values that trials had at each rung, and who waits there.

    Filled by calling :meth:`observe` and :meth:`leave` in the order in which records arrived, live
    or from a table. Keyed by our trial numbers.
    """

    lets_wait = True

    def __init__(self, levels: Sequence[float], factor: int) -> None:
        """Makes empty rungs.

        Args:
            levels: Their names: epochs or seconds.
            factor: Of the trials at a rung, one in this many goes on.
        """
        self._values: dict[float, dict[int, Standing]] = {level: {} for level in levels}
        self._factor = factor
        self._waiting: dict[int, float] = {}

    @property
    def waiting(self) -> Collection[int]:
        """The trials that wait."""
        return self._waiting.keys()

    def observe(self, number: int, level: float, standing: Standing | None) -> bool:
        """Notes a trial's standing at a rung and says whether it goes on at once, or waits.

        Args:
            number: The trial.
            level: What is no rung is passed over.
            standing: Of its latest epoch that was evaluated; None or NaN is worse than any number.
        """
        rung = self._values.get(level)
        if rung is None or number in rung:
            return True
        rung[number] = comparable(standing)
        if number in self._best(level, at_least=0):
            return True
        self._waiting[number] = level
        return False

    def leave(self, number: int) -> None:
        """A trial waits no more: it goes on, or has ended."""
        self._waiting.pop(number, None)

    def promote(self, at_least: int) -> int | None:
        """Lets one that waits go on, from the highest rung at which one may, the best first.

        Args:
            at_least: So many of those at a rung may go on, however few they are. With 0 the first
                wait for others; with 1 somebody gets to the end.

        Returns:
            Its number; None where all have to wait.
        """
        for level in sorted(self._values, reverse=True):
            for number in self._best(level, at_least):
                if self._waiting.get(number) == level:
                    self.leave(number)
                    return number
        return None

    def _best(self, level: float, at_least: int) -> list[int]:
        rung = self._values[level]
        count = max(at_least, len(rung) // self._factor)
        return sorted(rung, key=lambda number: (rung[number], number))[:count]
