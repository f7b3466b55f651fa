"""A run's directory from its making to the closing of its books; the same with and without Ray."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import FrameType
from typing import NamedTuple

import yaml

from gantune.checkpoints import drop_stale
from gantune.errors import RunError, UsageError
from gantune.paths import RunPaths
from gantune.records import compact
from gantune.runinfo import RunStatus, end_session
from gantune.storage import write_atomically
from gantune.study import Study
from gantune.tuning.conductor import Conductor, Observer

MakeProgress = Callable[[Study], AbstractContextManager[Observer]]
"""Makes what shows a run; see :mod:`gantune.tuning.progress`."""


class RunEnd(NamedTuple):
    """How a session of a run ended.

    Attributes:
        root: The run's directory.
        status: Finished, interrupted (and resumable), or failed: no trial succeeded.
    """

    root: Path
    status: RunStatus


def refuse_existing(paths: RunPaths) -> None:
    """Raises UsageError where a run directory is already there."""
    if paths.root.exists():
        raise UsageError(
            f"{paths.root} exists; go on with it: `gantune resume {paths.root}`, "
            "or choose another name"
        )


def create_run(paths: RunPaths, study: Study) -> None:
    """Makes a run directory with its study file.

    Raises:
        UsageError: It exists, or cannot be made.
    """
    refuse_existing(paths)
    resolved = study.model_dump(mode="json", exclude_none=True)
    text = yaml.safe_dump(resolved, sort_keys=False, allow_unicode=True)
    try:
        paths.root.mkdir(parents=True)
        write_atomically(paths.study, text.encode())
    except OSError as error:
        raise UsageError(f"{paths.root} cannot be made: {error.strerror or error}") from None


def finish_run(conductor: Conductor) -> RunEnd:
    """Closes the books of a session: status, compact tables, no stale checkpoints.

    Raises:
        RunError: The session could not write.
    """
    paths, ends = conductor.paths, conductor.ledger.ends
    if conductor.fatal:
        raise RunError(
            f"the run cannot go on: {conductor.fatal}; what was recorded is safe, "
            f"go on with `gantune resume {paths.root}`"
        )
    for table in ("epochs", "trials", "steps"):
        compact(paths.table(table))
    for number in ends:
        drop_stale(paths.best(number))
        drop_stale(paths.last(number))
    status: RunStatus = "finished"
    if conductor.halted:
        status = "interrupted"
    elif not any(row["status"] in ("completed", "stopped") for row in ends.values()):
        status = "failed"
    end_session(paths.info, status)
    return RunEnd(paths.root, status)


@contextmanager
def interruptible() -> Iterator[threading.Event]:
    """Ctrl-C (or SIGTERM) sets the event; a second one is not held up."""
    event = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield event
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    old = {number: signal.getsignal(number) for number in numbers}

    def interrupt(number: int, frame: FrameType | None) -> None:
        event.set()
        signal.signal(number, signal.default_int_handler)

    for number in numbers:
        signal.signal(number, interrupt)
    try:
        yield event
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
