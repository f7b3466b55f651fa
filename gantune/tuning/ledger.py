"""The run's tables in the driver's hands: what has happened, and nothing else. No ray.

What the ledger has accepted is on disk. The first record of a (trial, epoch) counts; one that comes
again, because a worker or the driver died before it knew that it had arrived, is dropped.
"""

from collections.abc import Sequence
from typing import Any

from gantune.diagnosis.verdicts import Verdict
from gantune.errors import GantuneError
from gantune.goals import metric_of
from gantune.paths import RunPaths
from gantune.records import TableWriter, read_table
from gantune.study import Study
from gantune.trial import Record
from gantune.tuning.outcome import Outcome

Row = dict[str, Any]


class Ledger:
    """Epochs, steps and trials of one run, in memory as far as decisions need them.

    Attributes:
        records: Of trials that have not ended, and on opening of all: see :meth:`forget`.
        order: All records as they arrived: number, index into its trial's.
        starts: First rows of trials by number.
        ends: Last rows of those that have ended.
        search_epochs: Records of trials of the search.
    """

    def __init__(self, paths: RunPaths, study: Study) -> None:
        """Opens the tables and reads what they hold. The caller holds the run's lock.

        Raises:
            GantuneError: They are damaged, or have lost records of trials that have ended.
        """
        self._objective, self._ranking = study.objective, study.ranking
        self.records: dict[int, list[Record]] = {}
        self.order: list[tuple[int, int]] = []
        self.starts: dict[int, Row] = {}
        self.ends: dict[int, Row] = {}
        self._steps: dict[int, int] = {}
        self.search_epochs = 0
        for row in read_table(paths.table("trials")).to_pylist():
            table = self.starts if row["status"] == "running" else self.ends
            table.setdefault(row["number"], row)
        for row in read_table(paths.table("epochs")).to_pylist():
            self._accept(row)
        self._refuse_lost(paths)
        for row in read_table(paths.table("steps")).to_pylist():
            self._steps[row["number"]] = max(row["step"], self._steps.get(row["number"], 0))
        self._epochs = TableWriter(paths.table("epochs"))
        self._trials = TableWriter(paths.table("trials"))
        self._step_rows = TableWriter(paths.table("steps"))

    def _refuse_lost(self, paths: RunPaths) -> None:
        """What a running trial has lost comes again from its ``last``; this would not."""
        for number, row in self.ends.items():
            there = len(self.records.get(number, []))
            if there < (row["epochs"] or 0):
                raise GantuneError(
                    f"{paths.table('epochs')} is damaged: trial {number} ended after "
                    f"{row['epochs']} epochs, and {there} are there; put a copy of it in its place"
                )

    def _accept(self, row: Record) -> bool:
        records = self.records.setdefault(row["number"], [])
        if row["epoch"] != len(records) + 1:
            return False
        self.order.append((row["number"], len(records)))
        records.append(row)
        self.search_epochs += self.confirms(row["number"]) is None
        return True

    def begin(self, row: Row) -> None:
        """Notes that a trial begins; a trial begins once."""
        if row["number"] not in self.starts:
            self.starts[row["number"]] = row
            self._trials.append([row])

    def add(
        self, records: Sequence[Record], steps: Sequence[Record]
    ) -> tuple[list[Record], list[Record]]:
        """Appends what is new and returns it: records with their place in the run, and steps.

        Steps go first: a crash between the two leaves steps whose epoch is sent again.
        """
        fresh = []
        for row in steps:
            if row["step"] > self._steps.get(row["number"], 0):
                self._steps[row["number"]] = row["step"]
                fresh.append(row)
        self._step_rows.append(fresh)
        accepted = []
        for record in records:
            row = {**record, "seq": len(self.order)}
            if self._accept(row):
                accepted.append(row)
        self._epochs.append(accepted)
        return accepted, fresh

    def end(
        self, number: int, outcome: Outcome, worker: str | None, verdict: Verdict | None
    ) -> Row:
        """Appends a trial's last row; a trial ends once."""
        if number not in self.ends:
            row = self.end_row(number, outcome, worker, verdict)
            self.ends[number] = row
            self._trials.append([row])
        return self.ends[number]

    def forget(self, number: int) -> None:
        """Drops the records of a trial that has ended; they stand in the table."""
        self.records.pop(number, None)

    def end_row(
        self, number: int, outcome: Outcome, worker: str | None, verdict: Verdict | None
    ) -> Row:
        """What a trial's last row would be if it ended now."""
        records = self.records.get(number, [])
        last: Record = records[-1] if records else {}
        best = self._ranking.best(records) or {}
        second = self._objective.second
        is_feasible = self._ranking.is_feasible(best) if best else False
        return {
            **self.starts[number],
            "status": outcome.status,
            "stopped_by": outcome.stopped_by,
            "error": outcome.error,
            "epochs": len(records),
            "verdict": verdict.name if verdict else None,
            "verdict_epoch": verdict.epoch if verdict else None,
            "objective": best.get("objective"),
            "best_epoch": best.get("epoch"),
            "second_objective": metric_of(best, second.metric) if second else None,
            "feasible": ("yes" if is_feasible else "no") if self._ranking.constraints else None,
            "last_objective": next(
                (r["objective"] for r in reversed(records) if r["objective"] is not None), None
            ),
            "wall_s": last.get("wall_s"),
            "worker": worker,
        }

    def confirms(self, number: int) -> int | None:
        """The trial whose configuration a trial repeats; None for one of the search."""
        # The start row of a damaged table can be lost.
        confirmed: int | None = self.starts.get(number, {}).get("confirms")
        return confirmed

    @property
    def searched(self) -> list[Row]:
        """Last rows of ended trials of the search, in order of their numbers."""
        return [row for number, row in sorted(self.ends.items()) if self.confirms(number) is None]

    def close(self) -> None:
        """Closes the tables."""
        for writer in (self._epochs, self._trials, self._step_rows):
            writer.close()
