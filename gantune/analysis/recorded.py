"""What an analysis asks of a run: a :class:`gantune.Run` has it."""

from typing import TYPE_CHECKING, Protocol

from gantune.study import Study

if TYPE_CHECKING:
    import pandas as pd


class Recorded(Protocol):
    """A study, and what its trials recorded."""

    @property
    def name(self) -> str: ...

    @property
    def study(self) -> Study: ...

    @property
    def trials(self) -> "pd.DataFrame": ...

    @property
    def epochs(self) -> "pd.DataFrame": ...
