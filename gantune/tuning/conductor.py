"""Decides what a study does next, from the run directory alone. No ray.

Resume is replay: a conductor that is opened on a run directory takes finished trials from the
tables, refills the rungs by going through the records in order, tells Optuna what it has not
heard, and proposes unfinished trials again under their own numbers. Whoever drives it (Ray Tune, a
test) calls ``ask``, ``observe`` and ``finish``; an error in writing is kept in ``fatal`` and ends
the run.

Order of writes: a worker's ``last`` (with the records) -> steps, epochs -> end row -> Optuna. Each
stage can be recomputed from the ones before it, so a crash between any two loses nothing.
"""

import json
import threading
from collections.abc import Sequence
from typing import Any, Protocol

from pydantic import ValidationError

from gantune.checks import search_space
from gantune.config import TrialConfig
from gantune.pace import equal_length, pace_of
from gantune.paths import RunPaths
from gantune.runinfo import now
from gantune.seeds import trial_seed
from gantune.space import propose
from gantune.starts import start_keys
from gantune.study import Study, with_values
from gantune.trial import Record, TrialSpec
from gantune.tuning import journal
from gantune.tuning.clock import Clock
from gantune.tuning.judge import Judge
from gantune.tuning.ledger import Ledger
from gantune.tuning.outcome import Outcome
from gantune.tuning.prior import as_frozen, read_prior
from gantune.tuning.sampler import Seeded


class Observer(Protocol):
    """Hears what happens, once it is on disk, to show it or to write it elsewhere."""

    def resumed(self, rows: Sequence[dict[str, Any]]) -> None: ...

    def began(self, spec: TrialSpec) -> None: ...

    def recorded(self, number: int, records: Sequence[Record], steps: Sequence[Record]) -> None: ...

    def ended(self, number: int, row: dict[str, Any]) -> None: ...


class Conductor:
    """The study's course."""

    def __init__(self, paths: RunPaths, study: Study, observer: Observer) -> None:
        """Opens a run, new or not; the caller holds its lock."""
        # Workers have another working directory.
        self.paths, self.study = RunPaths(paths.root.resolve()), study
        self.fatal: OSError | None = None
        self._observer = observer
        self._interrupted = threading.Event()
        self._space = search_space(study)
        prior = as_frozen(read_prior(self.paths), self._space)
        sampler = Seeded(study.sampler, self._space, start_keys(study, self._space), prior)
        self.optuna = journal.open_journal(
            paths.journal, study.name, study.objective.direction, sampler
        )
        self.ledger = Ledger(paths)
        self._judge = Judge(study, self.ledger)
        self._clock = Clock(study, paths)
        self._workers: dict[int, str] = {}
        self._ended_by_hand: dict[int, Outcome] = {}
        self.failed_fast = False
        self._waiting = self._replay()
        self._observer.resumed(list(self.ledger.ends.values()))
        if self._is_spent:
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
        unfinished = []
        for trial in journal.trials(self.optuna):
            row = self.ledger.ends.get(trial.number)
            if row is None:
                unfinished.append(trial.number)
            else:
                outcome = Outcome(row["status"], row["stopped_by"], row["error"])
                values = self._judge.values(trial.number)
                journal.tell(self.optuna, trial.number, values, outcome)
        return unfinished

    @property
    def was_stopped(self) -> bool:
        """Whether somebody has asked for the whole run to end, before all its trials had."""
        return "all" in self._requests() and self.remaining > 0

    @property
    def remaining(self) -> int:
        """Trials still to be proposed, unfinished ones included."""
        if self._is_spent:
            return 0
        asked = len(journal.trials(self.optuna))
        return len(self._waiting) + max(0, self.study.budget.trials - asked)

    def ask(self) -> TrialSpec | None:
        """The next trial; None when there is none left."""
        if self.fatal or "all" in self._requests():
            return None
        try:
            if self._is_spent:
                self._end_waiting()
                return None
            spec = self._propose()
        except OSError as error:
            self.fatal = error
            return None
        if spec:
            self._observer.began(spec)
        return spec

    def _propose(self) -> TrialSpec | None:
        while self.remaining:
            if self._waiting:
                trial = journal.running_trial(self.optuna, self._waiting.pop(0))
            else:
                trial = self.optuna.ask()
            values = propose(self._space, trial)
            try:
                config = with_values(self.study.trial, values)
                epochs = equal_length(self.study, config)
                if epochs is not None:
                    values["train.epochs"] = epochs
                    config = with_values(config, {"train.epochs": epochs})
                return self._spec(self._begin(trial.number, values), config)
            except ValidationError as error:
                # The checks before the start sample the space: a hole in it can be found later.
                self._begin(trial.number, values)
                message = f"no valid configuration: {error.errors()[0]['msg']}"
                self._end(trial.number, Outcome("failed", error=message))
        return None

    def _begin(self, number: int, values: dict[str, Any]) -> dict[str, Any]:
        start = {
            "trial_id": f"{self.paths.root.name}_{number:05d}",
            "number": number,
            "status": "running",
            "seed": self._seed(number, values),
            "started_at": now(),
            "parameters": json.dumps(values),
        }
        self.ledger.begin(start)
        return start

    @property
    def _is_spent(self) -> bool:
        epochs = self.study.budget.epochs
        is_over = epochs is not None and len(self.ledger.order) >= epochs
        return is_over or self._clock.is_spent(self.ledger)

    def _end_waiting(self) -> None:
        """Ends what an earlier session left unfinished: there is nothing to go on with."""
        for number in self._waiting:
            if number not in self.ledger.starts:
                trial = journal.running_trial(self.optuna, number)
                self._begin(number, propose(self._space, trial))
            self._end(number, Outcome("stopped", "budget"))
        self._waiting = []

    def halts_on(self, event: threading.Event) -> None:
        """Names the event that interrupts the run."""
        self._interrupted = event

    @property
    def halted(self) -> bool:
        """Whether the run stops here and now, its trials unfinished and resumable."""
        return self._interrupted.is_set() or self.fatal is not None or self.failed_fast

    def _seed(self, number: int, values: dict[str, Any]) -> int:
        fixed = values.get("seed", self.study.trial_seed)
        return trial_seed(self.study.trial.seed, number) if fixed is None else fixed

    def _spec(self, start: dict[str, Any], config: TrialConfig) -> TrialSpec:
        return TrialSpec(
            extensions=self.study.extensions,
            trial_id=start["trial_id"],
            number=start["number"],
            seed=start["seed"],
            config=config,
            metric=self.study.objective.metric,
            goal=self.study.objective.direction,
            rungs=tuple(pace_of(self.study, config).at_epoch.values()),
            folder=str(self.paths.trial(start["number"])),
            threads=self.study.resources.cpu,
            gpu=self.study.resources.gpu,
            samples=self.study.samples,
            last_every=self.study.checkpoint.every,
            stop=self.study.stop,
        )

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
        return number not in self._judge.outcomes and not self._ends_by_hand(number)

    def _ends_by_hand(self, number: int) -> bool:
        requests = self._requests()
        if "all" in requests or str(number) in requests:
            self._ended_by_hand[number] = Outcome("stopped", "user")
        elif self._is_spent:
            self._ended_by_hand[number] = Outcome("stopped", "budget")
        return number in self._ended_by_hand

    @property
    def concurrency(self) -> int | None:
        """Trials at once, as asked for from another terminal; None: as many as fit."""
        try:
            text = self.paths.concurrency.read_text(encoding="utf-8")
        except OSError:
            return None
        return int(text) if text.isdigit() and int(text) else None

    def _requests(self) -> set[str]:
        """Requests to stop from other terminals: ``all``, or trial numbers."""
        if not self.paths.control.is_dir():
            return set()
        return {path.name.removeprefix("stop-") for path in self.paths.control.glob("stop-*")}

    def finish(self, number: int, *, failed: bool) -> None:
        """Ends a trial: end row, then Optuna. What the records say outranks ``failed``."""
        if self.fatal:
            return
        try:
            outcome = self._outcome(number, failed=failed)
            self._end(number, outcome)
            self.failed_fast |= self.study.fail_fast and outcome.status == "failed"
        except OSError as error:
            self.fatal = error

    def _end(self, number: int, outcome: Outcome) -> None:
        worker, verdict = self._workers.get(number), self._judge.verdict(number)
        row = self.ledger.end(number, outcome, worker, verdict)
        journal.tell(self.optuna, number, self._judge.values(number), outcome)
        self._observer.ended(number, row)

    def _outcome(self, number: int, *, failed: bool) -> Outcome:
        known = self._judge.outcomes.get(number) or self._ended_by_hand.get(number)
        if known:
            return known
        assert failed, f"trial {number} ended without a reason"
        return Outcome("failed", error=self._last_error(number))

    def _last_error(self, number: int) -> str:
        try:
            lines = self.paths.error(number).read_text(encoding="utf-8").strip().splitlines()
        except OSError:
            lines = []
        return lines[-1] if lines else "its worker died without a word"

    def close(self) -> None:
        """Closes the tables."""
        try:
            self.ledger.close()
        except OSError as error:
            self.fatal = error
