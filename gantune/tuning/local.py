"""Drives a study in this process, one trial after the other, without Ray."""

from typing import Protocol

from gantune.host import Progress, worker_name
from gantune.trial import TrialSpec
from gantune.tuning.conductor import Conductor

REPORT_S = 2.0


class Trains(Protocol):
    """What trials are trained by: a :class:`gantune.host.Host`."""

    def open(self, spec: TrialSpec) -> int: ...

    def advance(self, handle: int, until: int, at_most_s: float) -> Progress: ...

    def close(self, handle: int) -> None: ...


def drive(conductor: Conductor, host: Trains, at_most_s: float = REPORT_S) -> None:
    """Runs a study's trials until none is left."""
    while (spec := conductor.ask()) is not None:
        handle = host.open(spec)
        goes_on, epoch = True, 0
        while goes_on:
            progress = host.advance(handle, spec.next_stop(epoch), at_most_s)
            epoch = progress.records[-1]["epoch"]
            goes_on = conductor.observe(
                spec.number, progress.records, progress.steps, worker_name()
            )
        conductor.finish(spec.number, failed=False)
        host.close(handle)
