"""Optuna's study in the run's journal: opened after any crash, told the truth."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial

from gantune.study import Goal
from gantune.tuning.outcome import Outcome, Status

_STATES = {
    "completed": TrialState.COMPLETE,
    "stopped": TrialState.PRUNED,
    "diverged": TrialState.PRUNED,
    "failed": TrialState.FAIL,
}


def open_journal(path: Path, name: str, direction: Goal, sampler: BaseSampler) -> optuna.Study:
    """Opens or creates the study. The caller holds the run's lock.

    A kill in the middle of a write leaves a torn last line, behind which Optuna would append and
    lose, and a lock file for which it would wait half a minute.
    """
    cut_torn_line(path)
    path.with_name(path.name + ".lock").unlink(missing_ok=True)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna.create_study(
        storage=JournalStorage(JournalFileBackend(str(path))),
        study_name=name,
        direction=direction,
        sampler=sampler,
        load_if_exists=True,
    )


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


def tell(
    study: optuna.Study, number: int, values: Sequence[tuple[int, float]], outcome: Outcome
) -> None:
    """Tells Optuna how a trial ended; once told, telling again changes nothing.

    Completed: COMPLETE with the best objective. Stopped: PRUNED with intermediate values. Diverged:
    PRUNED without any, which TPE ranks worst (as FAIL it would learn nothing from it). A trial that
    has no value to give is told like a diverged one. Failed: FAIL.

    Args:
        study: The study.
        number: The trial.
        values: (epoch, best objective so far) of each epoch in which it was evaluated.
        outcome: How it ended.
    """
    frozen = trials(study)[number]
    if frozen.state.is_finished():
        return
    trial = running_trial(study, number)
    trial.set_user_attr("status", outcome.status)
    if outcome.status in ("completed", "stopped"):
        for epoch, value in values:
            if epoch not in frozen.intermediate_values:
                trial.report(value, epoch)
    state = _STATES[outcome.status]
    if state == TrialState.COMPLETE:
        if values:
            study.tell(number, values[-1][1], state)
            return
        state = TrialState.PRUNED
    study.tell(number, state=state)


def as_told(
    number: int,
    params: Mapping[str, Any],
    distributions: Mapping[str, BaseDistribution],
    values: Sequence[tuple[int, float]],
    status: Status,
) -> FrozenTrial:
    """A trial as :func:`tell` leaves it in a study, where it is to be known without a journal.

    Args:
        number: Its number.
        params: By the names that Optuna knows.
        distributions: Of each parameter.
        values: As for :func:`tell`.
        status: How it ended.
    """
    reported = dict(values) if status in ("completed", "stopped") else {}
    trial = create_trial(
        state=_STATES[status] if reported else TrialState.PRUNED,
        value=values[-1][1] if reported else None,
        params=dict(params),
        distributions=dict(distributions),
        intermediate_values=reported,
        user_attrs={"status": status},
    )
    trial.number = number
    return trial
