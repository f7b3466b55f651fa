"""How a trial ended."""

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
