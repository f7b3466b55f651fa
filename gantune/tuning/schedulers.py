"""The rules by which trials compete at rungs, by the scheduler's options. No ray.

A scheduler is added with its options in ``strategy``, a file with its rule, and one entry in
``SCHEDULERS``.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Any, Protocol

from gantune.goals import Standing
from gantune.strategy import Asha, AshaPromotion, NoScheduler
from gantune.study import Study
from gantune.tuning.promotion import Promotions
from gantune.tuning.rungs import Rungs


class Rule(Protocol):
    """Says who goes on at a rung; see :class:`Rungs` and :class:`Promotions`.

    It hears the same records in the same order, live and on replay, and comes to the same end.
    """

    @property
    def lets_wait(self) -> bool:
        """Whether a trial that does not go on waits, and may go on when others have come by."""

    @property
    def waiting(self) -> Collection[int]:
        """The trials that wait."""

    def observe(self, number: int, level: float, standing: Standing | None) -> bool:
        """Notes a trial's standing at a rung and says whether it goes on at once."""

    def leave(self, number: int) -> None:
        """A trial waits no more."""

    def promote(self, at_least: int) -> int | None:
        """Lets one that waits go on; None where all have to wait."""


SCHEDULERS: Mapping[type[Any], Callable[[Any, Study], Rule]] = {
    Asha: lambda options, study: Rungs(study.rungs, options.reduction_factor),
    AshaPromotion: lambda options, study: Promotions(study.rungs, options.reduction_factor),
    NoScheduler: lambda options, study: Rungs((), factor=1),
}


def rule_of(study: Study) -> Rule:
    """The rule of a study's scheduler, before any record."""
    return SCHEDULERS[type(study.scheduler)](study.scheduler, study)
