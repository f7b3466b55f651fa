"""Drives a study in this process, one trial after the other, without Ray."""

import warnings
from pathlib import Path
from typing import Protocol

from gantune.engine.real import keep_real
from gantune.errors import StorageError
from gantune.host import Host, Progress, worker_name
from gantune.lock import hold_lock
from gantune.paths import RunPaths
from gantune.runinfo import begin_session
from gantune.strategy import Budget
from gantune.study import Study
from gantune.trial import REPORT_S, TrialSpec
from gantune.tuning.conductor import Conductor
from gantune.tuning.lifecycle import (
    MakeProgress,
    RunEnd,
    create_run,
    finish_run,
    interruptible,
    session_facts,
)
from gantune.tuning.observers import check_loggers, observed


class Trains(Protocol):
    """What trials are trained by: a :class:`gantune.host.Host`."""

    def open(self, spec: TrialSpec) -> int: ...

    def advance(self, handle: int, until: int, at_most_s: float) -> Progress: ...

    def close(self, handle: int) -> None: ...


def drive(conductor: Conductor, host: Trains, at_most_s: float = REPORT_S) -> None:
    """Runs a study's trials until none is left, or until the conductor is interrupted."""
    try:
        while not conductor.halted and (spec := conductor.ask()) is not None:
            _drive_trial(conductor, host, spec, at_most_s)
    except StorageError as error:
        conductor.fatal = OSError(str(error))


def _drive_trial(conductor: Conductor, host: Trains, spec: TrialSpec, at_most_s: float) -> None:
    handle = host.open(spec)
    goes_on, epoch = True, 0
    while goes_on and not conductor.halted:
        progress = host.advance(handle, spec.next_stop(epoch), at_most_s)
        epoch = progress.records[-1]["epoch"]
        for note in progress.notes:
            warnings.warn(note, stacklevel=2)
        goes_on = conductor.observe(spec.number, progress.records, progress.steps, worker_name())
    if not goes_on:
        conductor.finish(spec.number, failed=False)
    host.close(handle)


def train_base(study: Study, out: Path, progress: MakeProgress) -> RunEnd:
    """Trains the base trial of a study; leaves a run of one trial.

    Raises:
        UsageError: The directory exists or cannot be made.
        RunError: It could not go on.
    """
    from gantune.engine.engine import choose_device
    from gantune.engine.materials import make_materials

    # The scheduler stops no trial that is alone; its rungs are epochs that are evaluated.
    alone = study.model_copy(update={"search": {}, "budget": Budget(trials=1)})
    paths = RunPaths(out)
    check_loggers(alone)
    choose_device(alone.trial.device, has_gpu=alone.resources.gpu > 0)
    materials = make_materials(alone.trial)
    create_run(paths, alone)
    with hold_lock(paths.lock):
        begin_session(paths.info, None, session_facts(alone, materials, 1))
        keep_real(paths, materials.dataset, alone.trial.data)
        with observed(paths, alone, progress) as observer:
            conductor = Conductor(paths, alone, observer)
            with interruptible() as interrupted:
                conductor.halts_on(interrupted)
                try:
                    drive(conductor, Host(materials))
                finally:
                    conductor.close()
        return finish_run(conductor, out)
