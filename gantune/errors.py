"""What gantune raises for people: each message says what is wrong and what to do about it."""

from collections.abc import Sequence
from dataclasses import dataclass


class GantuneError(Exception):
    """Base of every error that is meant to be read by a person."""

    exit_code = 1


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a study file.

    Attributes:
        where: Where it stands: ``"line 12"``, ``"--set"``, or empty.
        path: Dotted path of the field.
        message: The rule that is broken, with the value that breaks it.
    """

    where: str
    path: str
    message: str

    def __str__(self) -> str:
        return ": ".join(part for part in (self.where, self.path, self.message) if part)


class ConfigError(GantuneError):
    """A study (or an override of it) is not valid; carries every problem that was found."""

    exit_code = 2

    def __init__(self, source: str, problems: Sequence[Problem]) -> None:
        self.source = source
        self.problems = tuple(problems)
        super().__init__("\n".join([f"{source} is not a valid study:", *self._lines()]))

    def _lines(self) -> list[str]:
        return [f"  {problem}" for problem in self.problems]

    def __reduce__(self) -> tuple[type, tuple[str, tuple[Problem, ...]]]:
        # Exceptions are rebuilt from their arguments when they cross a process boundary.
        return type(self), (self.source, self.problems)


class UsageError(GantuneError):
    """Something was asked for that cannot be."""

    exit_code = 2


class DataError(UsageError):
    """A data set cannot be used as the study asks.

    Attributes:
        field: Dotted path of the field of a trial that is to blame.
        message: What is wrong, with the file.
    """

    def __init__(self, field: str, message: str) -> None:
        # Both are arguments: exceptions are rebuilt from them in another process.
        super().__init__(field, message)
        self.field, self.message = field, message

    def __str__(self) -> str:
        return f"{self.field}: {self.message}"


class IncomparableError(UsageError):
    """Values of two runs mean different things: other features, samples or data."""


class RunError(GantuneError):
    """A run failed while it was running."""


class MemoryKillError(RunError):
    """Ray has killed a worker for its node's memory: the end of the session, not of the run."""


class StorageError(GantuneError):
    """The run's storage cannot be written to: no trial's fault, and the end of the session."""


class DeviceMemoryError(GantuneError):
    """A trial needs more memory than its device has left; the message says what to change."""


class JournalError(GantuneError):
    """Optuna's journal is damaged, or tells of other trials than the tables."""


class CheckpointError(GantuneError):
    """A checkpoint is missing, damaged or of another configuration."""

    exit_code = 2
