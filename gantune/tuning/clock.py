"""What a run has used of its time: on the clock, and of GPUs."""

import time
from datetime import datetime

from gantune.paths import RunPaths
from gantune.runinfo import ended, read_info
from gantune.study import Study
from gantune.tuning.ledger import Ledger

HOUR_S = 3600


class Clock:
    """Watches the budgets that no record decides: which trial they end depends on the hour."""

    def __init__(self, study: Study, paths: RunPaths) -> None:
        """Starts the clock of a session that has just begun."""
        self._budget, self._gpu = study.budget, study.resources.gpu
        self._before = seconds_before(paths)
        self._began = time.monotonic()

    def is_spent(self, ledger: Ledger) -> bool:
        """Whether the hours on the clock or of GPUs are used up."""
        hours, gpu_hours = self._budget.hours, self._budget.gpu_hours
        if hours is not None:
            spent = self._before + time.monotonic() - self._began
            if spent >= hours * HOUR_S:
                return True
        if gpu_hours is None:
            return False
        running = [
            records[-1]
            for number, records in ledger.records.items()
            if records and number not in ledger.ends
        ]
        trained = sum(
            row["wall_s"] or 0.0
            for row in (*ledger.ends.values(), *running)
            if ledger.confirms(row["number"]) is None
        )
        return bool(trained * self._gpu >= gpu_hours * HOUR_S)


def seconds_before(paths: RunPaths, *, with_last: bool = False) -> float:
    """What the sessions of a run took together, but for the last, which is going on.

    Args:
        paths: The run's.
        with_last: Where none is going on: the last, too.
    """
    root, sessions = paths.root, read_info(paths.info).get("sessions", [])
    sessions = [ended(session, root) for session in (sessions if with_last else sessions[:-1])]
    moments = [
        [datetime.fromisoformat(session[key]) for key in ("started_at", "ended_at")]
        for session in sessions
    ]
    return sum(max(0.0, (end - start).total_seconds()) for start, end in moments)
