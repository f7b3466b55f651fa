"""Decides what a study does next, from the run directory alone. No ray.

Resume is replay: a conductor that is opened on a run directory takes finished trials from the
tables, refills the rungs by going through the records in order, tells Optuna what it has not
heard, and proposes unfinished trials again under their own numbers. Whoever drives it (Ray Tune, a
test) calls ``ask``, ``observe`` and ``finish``; an error in writing is kept in ``fatal`` and ends
the run.

Order of writes: a worker's ``last`` (with the records) -> steps, epochs -> end row -> Optuna. Each
stage can be recomputed from the ones before it, so a crash between any two loses nothing.
"""

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from optuna.trial import Trial
from pydantic import ValidationError

from gantune.checks import search_space
from gantune.pace import equal_length
from gantune.paths import RunPaths
from gantune.space import propose
from gantune.starts import start_keys
from gantune.study import Study, with_values
from gantune.trial import Record, TrialSpec
from gantune.tuning import journal
from gantune.tuning.agenda import Agenda
from gantune.tuning.clock import Clock
from gantune.tuning.confirm import repeat_of
from gantune.tuning.failure import failure_of
from gantune.tuning.judge import TURNED_AWAY, Judge
from gantune.tuning.ledger import Ledger
from gantune.tuning.observer import Observer
from gantune.tuning.outcome import Outcome
from gantune.tuning.prior import as_frozen, read_prior
from gantune.tuning.rebuild import Known, open_study
from gantune.tuning.requests import Requests
from gantune.tuning.sampler import Seeded
from gantune.tuning.specs import make_spec, start_row
from gantune.tuning.told import Told

Bring = Callable[[int], None]


def _is_here(number: int) -> None:
    """All workers write to the run's directory."""


class Conductor:
    """The study's course."""

    def __init__(
        self, paths: RunPaths, study: Study, observer: Observer, bring: Bring = _is_here
    ) -> None:
        """Opens a run, new or not; the caller holds its lock. Ended trials' files are brought."""
        # Workers have another working directory.
        self.paths, self.study = RunPaths(paths.root.resolve()), study
        self.fatal: OSError | None = None
        self._observer = observer
        self._interrupted = threading.Event()
        self._bring = bring
        self._space = search_space(study)
        prior = as_frozen(read_prior(self.paths), self._space)
        starts = start_keys(study, self._space)
        self._at_rung: dict[int, Told] = {}
        sampler = Seeded(study.sampler, self._space, starts, prior, self._at_rung)
        self.ledger = Ledger(paths, study)
        self._judge = Judge(study, self.ledger)
        known = Known(study, self._space, self.ledger, self._judge)
        self.optuna = open_study(paths.journal, known, sampler)
        clock = Clock(study, paths)
        self._agenda = Agenda(study, self._space, self.optuna, self.ledger, self._judge, clock)
        self.requests = Requests(self.paths)
        self._workers: dict[int, str] = {}
        self._ended_by_hand: dict[int, Outcome] = {}
        self._losses: Counter[int] = Counter()
        self.failed_fast = False
        self._agenda.waiting = self._replay()
        self._observer.resumed(list(self.ledger.ends.values()))
        for number in sorted(self._judge.waiting):
            self._pause(number)
        if self._agenda.is_spent:
            self._end_waiting()

    def __reduce__(self) -> tuple[Any, ...]:
        # Tune pickles searcher and scheduler into its own folder; nobody ever reads them there.
        return str, (f"conductor of {self.paths.root}",)

    def _replay(self) -> list[int]:
        """Brings tables, rungs and journal to one state; returns the unfinished trials."""
        for number, index in self.ledger.order:
            if number in self.ledger.starts:
                self._judge.hear(number, index)
        for number, outcome in self._judge.outcomes.items():
            self.ledger.end(number, outcome, None, self._judge.verdict(number))
        for number in self.ledger.ends:
            self._judge.leave(number)
        unfinished = []
        for trial in journal.trials(self.optuna):
            row = self.ledger.ends.get(trial.number)
            if row is None and trial.number not in self._judge.waiting:
                unfinished.append(trial.number)
            elif row is not None:
                outcome = Outcome(row["status"], row["stopped_by"], row["error"])
                journal.tell(self.optuna, trial.number, self._judge.told(trial.number), outcome)
                self.ledger.forget(trial.number)
        return unfinished

    @property
    def was_stopped(self) -> bool:
        """Whether somebody has asked for the whole run to end, before all its trials had."""
        return self.requests.end_all and self.remaining > 0

    @property
    def remaining(self) -> int:
        """Trials still to be proposed, unfinished ones and, at most, what confirms included."""
        return self._agenda.remaining

    @property
    def awaits(self) -> bool:
        """Whether trials may be due that are not yet."""
        return self._agenda.follows_what_runs and not (self.halted or self.requests.end_all)

    def ask(self) -> TrialSpec | None:
        """The next trial; None when there is none left, or none yet (``awaits``)."""
        if self.fatal or self.requests.end_all:
            return None
        try:
            if self._agenda.is_spent:
                self._end_waiting()
            spec = self._propose()
        except OSError as error:
            self.fatal = error
            return None
        if spec:
            self._observer.began(spec)
        return spec

    def _propose(self) -> TrialSpec | None:
        while (trial := self._next()) is not None:
            values = propose(self._space, trial)
            try:
                config = with_values(self.study.trial, values)
                epochs = equal_length(self.study, config)
                if epochs is not None:
                    values["train.epochs"] = epochs
                    config = with_values(config, {"train.epochs": epochs})
                return make_spec(self.paths, self.study, self._begin(trial.number, values), config)
            except ValidationError as error:
                # The checks before the start sample the space: a hole in it can be found later.
                self._begin(trial.number, values)
                message = f"no valid configuration: {error.errors()[0]['msg']}"
                self._end(trial.number, Outcome("failed", error=message))
        return None

    def _next(self) -> Trial | None:
        if self._agenda.waiting:
            return journal.running_trial(self.optuna, self._agenda.waiting.pop(0))
        for number in self.requests.among(self._judge.waiting):
            self._end(number, Outcome("stopped", "user"))
        promoted = self._judge.promote(is_last_call=not self._agenda.new_trials)
        if promoted is not None:
            return journal.running_trial(self.optuna, promoted)
        if self._agenda.new_trials:
            return self.optuna.ask()
        if self._agenda.is_standing_still:
            self._end_at_rungs()
        missing = self._agenda.repeats
        if not missing:
            return None
        return journal.repeat(self.optuna, missing[0].confirms, missing[0]._asdict())

    def _begin(self, number: int, values: dict[str, Any]) -> dict[str, Any]:
        repeat = repeat_of(journal.trials(self.optuna)[number])
        start = start_row(self.paths, self.study, number, values, repeat)
        self.ledger.begin(start)
        return start

    def _end_waiting(self) -> None:
        """Ends what an earlier session left unfinished: there is nothing to go on with."""
        confirming = [n for n in self._agenda.waiting if repeat_of(journal.trials(self.optuna)[n])]
        for number in sorted(set(self._agenda.waiting) - set(confirming)):
            if number not in self.ledger.starts:
                trial = journal.running_trial(self.optuna, number)
                self._begin(number, propose(self._space, trial))
            self._end(number, Outcome("stopped", "budget"))
        self._agenda.waiting = confirming
        self._end_at_rungs()

    def _end_at_rungs(self) -> None:
        """Ends what waits at a rung: nobody will let it go on any more."""
        for number in sorted(self._judge.waiting):
            self._end(number, TURNED_AWAY)

    def _pause(self, number: int) -> None:
        """Lets a trial wait at its rung: the sampler learns from it as from one that has ended."""
        self._at_rung[number] = self._judge.told_at_rung(number)
        verdict = self._judge.verdict(number)
        row = self.ledger.end_row(number, TURNED_AWAY, self._workers.get(number), verdict)
        self._observer.paused(number, row)

    def halts_on(self, event: threading.Event) -> None:
        """Names the event that interrupts the run."""
        self._interrupted = event

    @property
    def halted(self) -> bool:
        """Whether the run stops here and now, its trials unfinished and resumable."""
        return self._interrupted.is_set() or self.fatal is not None or self.failed_fast

    def observe(
        self, number: int, records: Sequence[Record], steps: Sequence[Record], worker: str
    ) -> bool:
        """Takes in a trial's new records; returns whether it goes on."""
        if self.fatal or number in self.ledger.ends:
            return False
        self._workers[number] = worker
        try:
            fresh, fresh_steps = self.ledger.add(records, steps)
            self._observer.recorded(number, fresh, fresh_steps)
        except OSError as error:
            self.fatal = error
            return False
        # Judged from the ledger's own records: those that came again have had their verdict.
        count = len(self.ledger.records[number])
        for index in range(count - len(fresh), count):
            self._judge.hear(number, index)
        is_held = number in self._judge.outcomes or number in self._judge.waiting
        return not is_held and not self._ends_by_hand(number)

    def _ends_by_hand(self, number: int) -> bool:
        if self.requests.ends(number):
            self._ended_by_hand[number] = Outcome("stopped", "user")
        elif self._agenda.is_spent and self.ledger.confirms(number) is None:
            self._ended_by_hand[number] = Outcome("stopped", "budget")
        return number in self._ended_by_hand

    @property
    def has_lost(self) -> bool:
        """Whether trials wait to be taken up again that have run in this session."""
        return bool(self._agenda.waiting) and not (self.halted or self.requests.end_all)

    def take_up_again(self, number: int) -> None:
        """Lets a trial wait for another attempt, if it has one left."""
        self._losses[number] += 1
        if self._losses[number] <= self.study.max_failures:
            self._agenda.waiting.append(number)

    def give_up(self, number: int, error: str) -> None:
        """Lets a trial end as failed that another attempt would not help."""
        self._ended_by_hand[number] = Outcome("failed", error=error)

    def give_up_unfinished(self, error: str) -> None:
        """Lets all trials end as failed that an earlier session has begun and not ended."""
        for number in [number for number in self._agenda.waiting if number in self.ledger.starts]:
            self._agenda.waiting.remove(number)
            self.give_up(number, error)
            self.finish(number, failed=True)

    def finish(self, number: int, *, failed: bool) -> None:
        """Ends a trial: end row, then Optuna. What the records say outranks ``failed``."""
        if self.fatal or number in self._agenda.waiting:
            return
        try:
            if number in self._judge.waiting:
                self._pause(number)
                return
            self._bring(number)
            outcome = self._outcome(number, failed=failed)
            self._end(number, outcome)
            self.failed_fast |= self.study.fail_fast and outcome.status == "failed"
        except OSError as error:
            self.fatal = error

    def _end(self, number: int, outcome: Outcome) -> None:
        worker, verdict = self._workers.get(number), self._judge.verdict(number)
        row = self.ledger.end(number, outcome, worker, verdict)
        self._judge.leave(number)
        journal.tell(self.optuna, number, self._judge.told(number), outcome)
        self._observer.ended(number, row)
        self.ledger.forget(number)  # last: an end that is heard of twice is told from them

    def _outcome(self, number: int, *, failed: bool) -> Outcome:
        known = self._judge.outcomes.get(number) or self._ended_by_hand.get(number)
        if known:
            return known
        assert failed, f"trial {number} ended without a reason"
        return Outcome("failed", error=failure_of(self.paths, number, self.study))

    def close(self) -> None:
        """Closes the tables."""
        try:
            self.ledger.close()
        except OSError as error:
            self.fatal = error
