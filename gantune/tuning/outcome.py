"""How a trial ended, and what is told of it."""

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

Status = Literal["completed", "stopped", "diverged", "failed"]


class Outcome(NamedTuple):
    """The end of a trial.

    Attributes:
        status: Completed: trained to its full length. Stopped: ended early on purpose. Diverged:
            something became NaN or infinite. Failed: an exception, or its worker died.
        stopped_by: ``asha``, ``verdict`` or ``user``, for a stopped one.
        error: The last line of the traceback, for a failed one.
    """

    status: Status
    stopped_by: str | None = None
    error: str | None = None


class Told(NamedTuple):
    """What Optuna hears of a trial beside its outcome.

    Attributes:
        way: Best objective so far by position, wherever it was evaluated; none of two objectives.
        final: The objectives at its best epoch; empty where one has no value.
        violations: By how much that epoch misses each constraint, at most 0 where it meets it.
    """

    way: Mapping[int, float] = {}
    final: Sequence[float] = ()
    violations: Mapping[str, float] = {}
