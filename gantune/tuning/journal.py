"""Optuna's study in the run's journal: opened after any crash, told the truth."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import optuna
from optuna.samplers import BaseSampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, Trial, TrialState

from gantune.study import Goal
from gantune.tuning.outcome import Outcome

_STATES = {
    "completed": TrialState.COMPLETE,
    "stopped": TrialState.PRUNED,
    "diverged": TrialState.PRUNED,
    "failed": TrialState.FAIL,
}


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


def open_journal(path: Path, name: str, direction: Goal, sampler: BaseSampler) -> optuna.Study:
    """Opens or creates the study. The caller holds the run's lock.

    A kill in the middle of a write leaves a torn last line, behind which Optuna would append and
    lose, and a lock file for which it would wait half a minute.
    """
    cut_torn_line(path)
    path.with_name(path.name + ".lock").unlink(missing_ok=True)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna.create_study(
        storage=_Journal(path),
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


def _at_once(study: optuna.Study) -> AbstractContextManager[None]:
    assert isinstance(study._storage, _Journal)
    return study._storage.lines.at_once()


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
    with _at_once(study):
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
