"""What wants to hear of a run."""

from collections.abc import Sequence
from typing import Any, Protocol

from gantune.trial import Record, TrialSpec


class Observer(Protocol):
    """Hears what happens, once it is on disk, to show it or to write it elsewhere.

    A trial that waits at a rung is *paused*, with the row that would be its last; then it begins
    again, or ends.
    """

    def resumed(self, rows: Sequence[dict[str, Any]]) -> None: ...

    def began(self, spec: TrialSpec) -> None: ...

    def recorded(self, number: int, records: Sequence[Record], steps: Sequence[Record]) -> None: ...

    def paused(self, number: int, row: dict[str, Any]) -> None: ...

    def ended(self, number: int, row: dict[str, Any]) -> None: ...
