"""An earlier run's trials that a study's sampler knows: their file, and the study as it sees it.

They are in none of the run's tables and not in its journal, which therefore go on to agree, number
by number. The run's directory has a copy of them, so that it can be resumed without the earlier
run, and a suggestion stays a function of (seed, number, history).
"""

import copy
from collections.abc import Container, Mapping, Sequence
from typing import Any

import optuna
from optuna.trial import FixedTrial, FrozenTrial, TrialState
from pydantic import Field, ValidationError

from gantune.errors import GantuneError, UsageError
from gantune.parts.base import Options
from gantune.paths import RunPaths
from gantune.runinfo import describe_warm_start, read_info
from gantune.space import Space, propose
from gantune.storage import read_bounded
from gantune.tuning import journal
from gantune.tuning.confirm import repeat_of
from gantune.tuning.outcome import Status
from gantune.tuning.told import Told


class PriorTrial(Options):
    """A trial of the earlier run, as far as a sampler learns from it.

    Attributes:
        number: In that run.
        params: By the names that Optuna knows in the new study.
        status: How it ended.
        way: (position, best objective so far) wherever it was evaluated.
        final: The objectives at its best epoch.
        violations: By how much that epoch misses each constraint of the new study.
    """

    number: int
    params: dict[str, Any]
    status: Status
    way: tuple[tuple[int, float], ...]
    final: tuple[float, ...]
    violations: dict[str, float] = Field(default_factory=dict)

    @property
    def told(self) -> Told:
        """What Optuna would have heard of it."""
        return Told(dict(self.way), self.final, self.violations)


class Prior(Options):
    """What a study knows of an earlier run.

    Attributes:
        run: The earlier run's name.
        features: The hash of the features behind its values; None where they were not noted.
        trials: In order of their numbers.
        left_out: How many others it had.
        reason: Why most of those were left out, and how many.
    """

    run: str
    features: str | None
    trials: tuple[PriorTrial, ...]
    left_out: int = 0
    reason: str | None = None

    @property
    def facts(self) -> dict[str, Any]:
        """For ``run.json``: all but the trials themselves."""
        return {**self.model_dump(exclude={"trials"}), "trials": len(self.trials)}

    def __str__(self) -> str:
        return describe_warm_start(self.facts)


def read_prior(paths: RunPaths) -> Prior | None:
    """What a run knows of an earlier one; None where it began with nothing.

    Raises:
        UsageError: The file is gone.
        GantuneError: It is damaged.
    """
    path = paths.warm_start
    if path.is_file():
        try:
            return Prior.model_validate_json(read_bounded(path))
        except ValidationError as error:
            raise GantuneError(f"{path} is damaged: {error.errors()[0]['msg']}") from None
    sessions = read_info(paths.info).get("sessions", [])
    if any("warm_start" in session for session in sessions):
        raise UsageError(f"{path} is missing, and the run would go another way: put it back")
    return None


def as_frozen(prior: Prior | None, space: Space) -> list[FrozenTrial]:
    """The trials as Optuna would have them if they were the study's own."""
    found = []
    for trial in prior.trials if prior else ():
        walked = FixedTrial(trial.params)
        propose(space, walked)
        found.append(
            journal.as_told(
                trial.number, walked.params, walked.distributions, trial.told, trial.status
            )
        )
    return found


class Continued(optuna.Study):
    """A study as its sampler sees it: an earlier one's trials come first, its own go on from there.

    Samplers go by the order of numbers and by which is whose: numbers below zero they pass over.
    """

    def __init__(
        self, own: optuna.Study, prior: Sequence[FrozenTrial], at_rung: Mapping[int, Told]
    ) -> None:
        """Makes a view; it holds no trials of the study's, but for new numbers of ended ones.

        Args:
            own: The study.
            prior: Trials of the earlier one, in order of their numbers; may be none.
            at_rung: Those of its own that wait at a rung: seen as if they had ended there.
        """
        super().__init__(own.study_name, own._storage, own.sampler, own.pruner)
        self._own, self._prior = own, list(prior)
        self._first = prior[-1].number + 1 if prior else 0
        self._ended: dict[int, FrozenTrial] = {}
        self._at_rung = at_rung
        self._paused: dict[int, tuple[Told, FrozenTrial]] = {}

    def renumbered(self, trial: FrozenTrial) -> FrozenTrial:
        """A trial of the study's own under its number after the earlier ones."""
        if trial.number in self._ended:
            return self._ended[trial.number]
        renumbered = copy.copy(trial)
        renumbered.number = self._first + trial.number
        if trial.state.is_finished():
            self._ended[trial.number] = renumbered
        return renumbered

    def _as_seen(self, trial: FrozenTrial) -> FrozenTrial:
        told = self._at_rung.get(trial.number)
        if told is None or trial.state.is_finished():
            return self.renumbered(trial)
        known = self._paused.get(trial.number)
        if known is None or known[0] is not told:
            number = self._first + trial.number
            seen = journal.as_told(number, trial.params, trial.distributions, told, "stopped")
            known = self._paused[trial.number] = told, seen
        return known[1]

    def _get_trials(
        self,
        deepcopy: bool = True,
        states: Container[TrialState] | None = None,
        use_cache: bool = False,
    ) -> list[FrozenTrial]:
        own = self._own._get_trials(deepcopy=False, use_cache=use_cache)
        # What confirms would count its configuration many times.
        searched = [self._as_seen(trial) for trial in own if repeat_of(trial) is None]
        found = [t for t in (*self._prior, *searched) if states is None or t.state in states]
        return copy.deepcopy(found) if deepcopy else found
