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


def repeats(run: Recorded) -> "pd.DataFrame":
    """The trials that confirm others with fresh seeds."""
    return run.trials[run.trials["confirms"].notna()]


def of_search(run: Recorded) -> "pd.DataFrame":
    """The trials of the search: what confirms would count its configurations many times."""
    return run.trials[run.trials["confirms"].isna()]


def epochs_of_search(run: Recorded) -> "pd.DataFrame":
    """The epochs of the trials of the search."""
    return run.epochs[~run.epochs["number"].isin(repeats(run)["number"])]
