"""Decides from records alone, in the order of their arrival, how trials end. No ray.

Live and on replay it hears the same records in the same order, and comes to the same outcomes.
"""

import json
from collections.abc import Collection

from gantune.config import TrialConfig
from gantune.diagnosis.context import context_of
from gantune.diagnosis.verdicts import Verdict, diagnose
from gantune.pace import Pace, pace_of
from gantune.study import Study, with_values
from gantune.trial import Record, ends_by_verdict
from gantune.tuning.ledger import Ledger
from gantune.tuning.outcome import Outcome
from gantune.tuning.schedulers import rule_of
from gantune.tuning.told import Told, told_at_rung, told_of

TURNED_AWAY = Outcome("stopped", "asha")
"""A trial that was not among the best of its rung."""


class Judge:
    """The rules by which a record ends its trial.

    Attributes:
        outcomes: How trials ended, by number; the first reason counts.
    """

    def __init__(self, study: Study, ledger: Ledger) -> None:
        """Makes a judge that has heard nothing yet.

        Args:
            study: Its scheduler and its verdicts that end a trial.
            ledger: Holds the records that the judge hears of.
        """
        self.outcomes: dict[int, Outcome] = {}
        self._study, self._ledger, self._ranking = study, ledger, study.ranking
        self._rungs = rule_of(study)
        self._paces: dict[int, Pace] = {}

    def hear(self, number: int, index: int) -> None:
        """Takes in a record of the ledger, by its place among its trial's."""
        if number in self.outcomes:
            return
        self._rungs.leave(number)  # where it has waited, it has gone on
        outcome = self._outcome(number, index)
        if outcome:
            self.outcomes[number] = outcome

    def _outcome(self, number: int, index: int) -> Outcome | None:
        records = self._ledger.records[number]
        record, before = records[index], records[index - 1] if index else None
        if record.get("verdict") == "diverged":
            return Outcome("diverged")
        pace = self._pace(number)
        if pace.is_over(record):
            return Outcome("completed")
        if self._ledger.confirms(number) is not None:
            return None  # what confirms runs to its full length
        # Every rung hears of the trial, also where another reason ends it.
        stays = [self._passes(number, level, record) for level in pace.reached(record, before)]
        if self._is_ended_by_verdict(records[: index + 1]):
            self._rungs.leave(number)
            return Outcome("stopped", "verdict")
        return None if all(stays) or number in self.waiting else TURNED_AWAY

    @property
    def lets_wait(self) -> bool:
        """Whether trials wait at rungs, and may go on when others have come by."""
        return self._rungs.lets_wait

    @property
    def waiting(self) -> Collection[int]:
        """Trials that wait at a rung, and may go on."""
        return self._rungs.waiting

    def promote(self, *, is_last_call: bool) -> int | None:
        """Lets a trial that waits at a rung go on; returns its number, None where all have to wait.

        Args:
            is_last_call: Whether no new trials will come by: the best of a rung waits for nobody.
        """
        return self._rungs.promote(at_least=int(is_last_call))

    def leave(self, number: int) -> None:
        """A trial has ended, and does not wait any more."""
        self._rungs.leave(number)

    def _passes(self, number: int, level: float, record: Record) -> bool:
        so_far = self._ledger.records[number][: record["epoch"]]
        scored = [row for row in so_far if row["objective"] is not None]
        # Not its best: a lucky early epoch says less about the end than where it stands now.
        now = self._ranking.standing(scored[-1]) if scored else None
        return self._rungs.observe(number, level, now)

    def _is_ended_by_verdict(self, records: list[Record]) -> bool:
        return ends_by_verdict(records[-self._study.stop.patience :], self._study.stop)

    def verdict(self, number: int) -> Verdict | None:
        """The verdict on a trial's records; None where it has none."""
        records = self._ledger.records.get(number)
        return diagnose(records, context_of(self._config(number))) if records else None

    def told(self, number: int) -> Told:
        """What Optuna hears of a trial."""
        records = self._ledger.records.get(number)
        return told_of(self._study, records, self._pace(number)) if records else Told()

    def told_at_rung(self, number: int) -> Told:
        """What the sampler is to know of a trial that waits."""
        return told_at_rung(self._study, self._ledger.records[number], self._pace(number))

    def _pace(self, number: int) -> Pace:
        if number not in self._paces:
            self._paces[number] = pace_of(self._study, self._config(number))
        return self._paces[number]

    def _config(self, number: int) -> TrialConfig:
        start = self._ledger.starts[number]
        return with_values(self._study.trial, json.loads(start["parameters"]))
