"""Optuna's study in the run's journal: opened after any crash, told the truth."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial

from gantune.errors import JournalError
from gantune.goals import Goal
from gantune.tuning.outcome import Outcome, Status
from gantune.tuning.told import Told

_STATES = {
    "completed": TrialState.COMPLETE,
    "stopped": TrialState.PRUNED,
    "diverged": TrialState.PRUNED,
    "failed": TrialState.FAIL,
}


UNREADABLE = (LookupError, TypeError, ValueError, AttributeError, AssertionError, RecursionError)
"""What Optuna raises on entries that are JSON and no history."""


class _Lines(JournalFileBackend):
    """The journal's file, to which many lines can be written at once: each write is synced."""

    _held: list[dict[str, Any]] | None = None

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Holds lines back, then writes them all; none of them is read before."""
        held = self._held = []
        try:
            yield
        finally:
            self._held = None
        if held:
            self.append_logs(held)

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        if self._held is None:
            super().append_logs(logs)
        else:
            self._held += logs


class _Journal(JournalStorage):
    """A journal that knows its file."""

    def __init__(self, path: Path) -> None:
        self.lines = _Lines(str(path))
        super().__init__(self.lines)


def open_journal(
    path: Path, name: str, directions: Sequence[Goal], sampler: BaseSampler
) -> optuna.Study:
    """Opens or creates the study. The caller holds the run's lock.

    A kill in the middle of a write leaves a torn last line, behind which Optuna would append and
    lose, and a lock file for which it would wait half a minute.

    Raises:
        JournalError: It is damaged.
    """
    _refuse_damaged(path)
    cut_torn_line(path)
    path.with_name(path.name + ".lock").unlink(missing_ok=True)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        return optuna.create_study(
            storage=_Journal(path),
            study_name=name,
            directions=list(directions),
            sampler=sampler,
            load_if_exists=True,
        )
    except UNREADABLE as error:
        raise JournalError(f"{path} is damaged: Optuna cannot read it: {error!r}") from None


def _refuse_damaged(path: Path) -> None:
    if not path.exists():
        return
    for number, line in enumerate(path.read_bytes().split(b"\n")[:-1], start=1):
        try:
            is_entry = isinstance(json.loads(line), dict)
        except (ValueError, RecursionError):
            is_entry = False
        if not is_entry:
            raise JournalError(f"{path} is damaged: line {number} is no entry of a journal")


def cut_torn_line(path: Path) -> None:
    """Cuts a text file back to its last whole line."""
    if not path.exists():
        return
    data = path.read_bytes()
    whole = data.rfind(b"\n") + 1
    if whole < len(data):
        with open(path, "r+b") as file:
            file.truncate(whole)


def trials(study: optuna.Study) -> list[FrozenTrial]:
    """All trials of the study in order of their numbers, not to be changed."""
    return study.get_trials(deepcopy=False)


def running_trial(study: optuna.Study, number: int) -> Trial:
    """A trial that was asked for and not told: its drawn parameters are kept as they are."""
    return Trial(study, _trial_id(study, number))


def _trial_id(study: optuna.Study, number: int) -> int:
    storage = study._storage  # no public way from a number to what Trial() takes
    return storage.get_trial_id_from_study_id_trial_number(study._study_id, number)


def _at_once(study: optuna.Study) -> AbstractContextManager[None]:
    assert isinstance(study._storage, _Journal)
    return study._storage.lines.at_once()


def repeat(study: optuna.Study, number: int, attributes: Mapping[str, int]) -> Trial:
    """A new trial with the parameters of another, in one write."""
    of = trials(study)[number]
    study.add_trial(
        optuna.create_trial(
            state=TrialState.RUNNING,
            params=of.params,
            distributions=of.distributions,
            user_attrs=dict(attributes),
        )
    )
    return running_trial(study, len(trials(study)) - 1)


def tell(study: optuna.Study, number: int, told: Told, outcome: Outcome) -> None:
    """Tells Optuna how a trial ended; once told, telling again changes nothing.

    Completed: COMPLETE with the objectives. Stopped: PRUNED with intermediate values (of two
    objectives Optuna takes none). Diverged: PRUNED without any, which TPE ranks worst (as FAIL it
    would learn nothing from it). A trial that has no value to give is told like a diverged one.
    Failed: FAIL.

    Args:
        study: The study.
        number: The trial.
        told: Its values.
        outcome: How it ended.
    """
    frozen = trials(study)[number]
    if frozen.state.is_finished():
        return
    trial = running_trial(study, number)
    with _at_once(study):
        trial.set_user_attr("status", outcome.status)
        if outcome.status in ("completed", "stopped"):
            for position, value in told.way.items():
                if position not in frozen.intermediate_values:
                    trial.report(value, position)
            for name in set(told.violations) - set(frozen.constraints):
                trial.set_constraint(name, told.violations[name])
    state = _STATES[outcome.status]
    if state == TrialState.COMPLETE:
        if told.final:
            study.tell(number, list(told.final), state)
            return
        state = TrialState.PRUNED
    study.tell(number, state=state)


def as_told(
    number: int,
    params: Mapping[str, Any],
    distributions: Mapping[str, BaseDistribution],
    told: Told,
    status: Status,
) -> FrozenTrial:
    """A trial as :func:`tell` leaves it in a study, where it is to be known without a journal.

    Args:
        number: Its number.
        params: By the names that Optuna knows.
        distributions: Of each parameter.
        told: As for :func:`tell`.
        status: How it ended.
    """
    told = told if status in ("completed", "stopped") else Told()
    state = _STATES[status]
    if state == TrialState.COMPLETE and not told.final:
        state = TrialState.PRUNED
    # Of a stopped trial Optuna takes the last intermediate value for its value.
    is_complete = state == TrialState.COMPLETE
    values = list(told.final) if is_complete else list(told.way.values())[-1:]
    trial = create_trial(
        state=state,
        values=values or None,
        params=dict(params),
        distributions=dict(distributions),
        intermediate_values=dict(told.way),
        user_attrs={"status": status},
        constraints=dict(told.violations),
    )
    trial.number = number
    return trial
