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
from gantune.diagnosis.context import context_of
from gantune.diagnosis.verdicts import Verdict, diagnose
from gantune.paths import RunPaths
from gantune.runinfo import now
from gantune.seeds import trial_seed
from gantune.space import propose
from gantune.starts import start_keys
from gantune.study import Asha, Study, with_values
from gantune.trial import Record, TrialSpec, ends_by_verdict
from gantune.tuning import journal
from gantune.tuning.ledger import Ledger
from gantune.tuning.outcome import Outcome
from gantune.tuning.rungs import Rungs
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
        sampler = Seeded(study.sampler, self._space, start_keys(study, self._space))
        self.optuna = journal.open_journal(
            paths.journal, study.name, study.objective.direction, sampler
        )
        self.ledger = Ledger(paths)
        factor = study.scheduler.reduction_factor if isinstance(study.scheduler, Asha) else 2
        self._rungs = Rungs(study.rungs, factor)
        self._workers: dict[int, str] = {}
        self._stopping: dict[int, str] = {}
        self._waiting = self._replay()
        self._observer.resumed(list(self.ledger.ends.values()))

    def __reduce__(self) -> tuple[Any, ...]:
        # Tune pickles searcher and scheduler into its own folder; nobody ever reads them there.
        return str, (f"conductor of {self.paths.root}",)

    def _replay(self) -> list[int]:
        """Brings tables, rungs and journal to one state; returns the unfinished trials."""
        outcomes: dict[int, Outcome] = {}
        for number, index in self.ledger.order:
            outcome = self._judge(number, self.ledger.records[number][index])
            if outcome:
                outcomes.setdefault(number, outcome)
        for number, outcome in outcomes.items():
            if number in self.ledger.starts:
                self.ledger.end(number, outcome, None, self._verdict(number))
        unfinished = []
        for trial in journal.trials(self.optuna):
            row = self.ledger.ends.get(trial.number)
            if row is None:
                unfinished.append(trial.number)
            else:
                outcome = Outcome(row["status"], row["stopped_by"], row["error"])
                values = self.ledger.values(trial.number)
                journal.tell(self.optuna, trial.number, values, outcome)
        return unfinished

    @property
    def was_stopped(self) -> bool:
        """Whether somebody has asked for the whole run to end, before all its trials had."""
        return "all" in self._requests() and self.remaining > 0

    @property
    def remaining(self) -> int:
        """Trials still to be proposed, unfinished ones included."""
        asked = len(journal.trials(self.optuna))
        return len(self._waiting) + max(0, self.study.budget.trials - asked)

    def ask(self) -> TrialSpec | None:
        """The next trial; None when there is none left."""
        if self.fatal or "all" in self._requests():
            return None
        try:
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
            start = {
                "trial_id": f"{self.paths.root.name}_{trial.number:05d}",
                "number": trial.number,
                "status": "running",
                "seed": self._seed(trial.number, values),
                "started_at": now(),
                "parameters": json.dumps(values),
            }
            self.ledger.begin(start)
            try:
                return self._spec(start, values)
            except ValidationError as error:
                # The checks before the start sample the space: a hole in it can be found later.
                message = f"no valid configuration: {error.errors()[0]['msg']}"
                self._end(trial.number, Outcome("failed", error=message))
        return None

    def halts_on(self, event: threading.Event) -> None:
        """Names the event that interrupts the run."""
        self._interrupted = event

    @property
    def halted(self) -> bool:
        """Whether the run stops here and now, its trials unfinished and resumable."""
        return self._interrupted.is_set() or self.fatal is not None

    def _seed(self, number: int, values: dict[str, Any]) -> int:
        fixed = values.get("seed", self.study.trial_seed)
        return trial_seed(self.study.trial.seed, number) if fixed is None else fixed

    def _spec(self, start: dict[str, Any], values: dict[str, Any]) -> TrialSpec:
        return TrialSpec(
            extensions=self.study.extensions,
            trial_id=start["trial_id"],
            number=start["number"],
            seed=start["seed"],
            config=with_values(self.study.trial, values),
            metric=self.study.objective.metric,
            goal=self.study.objective.direction,
            rungs=self.study.rungs,
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
        outcomes = [self._judge(number, record) for record in fresh]
        return not any(outcomes) and not self._ends_by_hand(number)

    def _judge(self, number: int, record: Record) -> Outcome | None:
        """How a record ends its trial, if it does."""
        if record.get("verdict") == "diverged":
            return Outcome("diverged")
        if record["epoch"] >= self._epochs(number):
            return Outcome("completed")
        goes_on = self._rungs.observe(
            number, record["epoch"], record["best_objective"], self.study.objective.sign
        )
        if self._ended_by_verdict(number, record["epoch"]):
            self._stopping[number] = "verdict"
            return Outcome("stopped", "verdict")
        if goes_on:
            return None
        self._stopping[number] = "asha"
        return Outcome("stopped", "asha")

    def _ended_by_verdict(self, number: int, epoch: int) -> bool:
        patience = self.study.stop.patience
        last = self.ledger.records[number][max(0, epoch - patience) : epoch]
        return ends_by_verdict(last, self.study.stop)

    def _verdict(self, number: int) -> Verdict | None:
        """The verdict on a trial's records."""
        records = self.ledger.records.get(number)
        if not records:
            return None
        config = with_values(self.study.trial, self._parameters(number))
        return diagnose(records, context_of(config))

    def _parameters(self, number: int) -> dict[str, Any]:
        start = self.ledger.starts.get(number)
        parameters: dict[str, Any] = json.loads(start["parameters"]) if start else {}
        return parameters

    def _epochs(self, number: int) -> int:
        """The full length of a trial."""
        return int(self._parameters(number).get("train.epochs", self.study.trial.train.epochs))

    def _ends_by_hand(self, number: int) -> bool:
        requests = self._requests()
        if "all" in requests or str(number) in requests:
            self._stopping[number] = "user"
            return True
        return False

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
            self._end(number, self._outcome(number, failed=failed))
        except OSError as error:
            self.fatal = error

    def _end(self, number: int, outcome: Outcome) -> None:
        worker, verdict = self._workers.get(number), self._verdict(number)
        row = self.ledger.end(number, outcome, worker, verdict)
        journal.tell(self.optuna, number, self.ledger.values(number), outcome)
        self._observer.ended(number, row)

    def _outcome(self, number: int, *, failed: bool) -> Outcome:
        records = self.ledger.records.get(number, [])
        if records and records[-1].get("verdict") == "diverged":
            return Outcome("diverged")
        if number in self._stopping:
            return Outcome("stopped", self._stopping[number])
        if len(records) >= self._epochs(number):
            return Outcome("completed")
        assert failed, f"trial {number} ended without a reason after {len(records)} epochs"
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
