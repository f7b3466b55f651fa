"""A run's directory from its making to the closing of its books; the same with and without Ray."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, NamedTuple

from gantune.checkpoints import drop_stale
from gantune.diagnosis.context import context_of
from gantune.document import write_document
from gantune.errors import RunError, UsageError
from gantune.parts.base import as_written
from gantune.paths import RunPaths
from gantune.records import compact
from gantune.runinfo import RunStatus, end_session, read_info
from gantune.storage import write_atomically
from gantune.study import Study
from gantune.tuning.conductor import Conductor
from gantune.tuning.extension import dumped, objective_tree
from gantune.tuning.observer import Observer
from gantune.tuning.prior import Prior
from gantune.tuning.store import choose_store

if TYPE_CHECKING:
    from gantune.engine.materials import Materials

INTERRUPTED = 130
"""Exit code of a process that was asked to end."""

GRACE_S = 25.0
"""Seconds from SIGTERM until it is cut off: schedulers of clusters wait for 30."""

MakeProgress = Callable[[Study], AbstractContextManager[Observer]]
"""Makes what shows a run; see :mod:`gantune.tuning.progress`."""


class RunEnd(NamedTuple):
    """How a session of a run ended.

    Attributes:
        root: The run's directory.
        status: Finished, stopped by `gantune stop`, interrupted, or failed: no trial succeeded.
    """

    root: Path
    status: RunStatus


def session_facts(study: Study, materials: "Materials", slots: int) -> dict[str, Any]:
    """What a session runs with, for ``run.json``."""
    return {
        "slots": slots,
        "resources": study.resources.model_dump(),
        "device": study.trial.device,
        "seeds": {"trial": study.trial.seed, "sampler": study.sampler.seed},
        "features": materials.reference.info._asdict(),
        "samples": context_of(study.trial).samples,
        "extensions": {extension.name: extension.source for extension in study.extensions},
        "study": dumped(study),
    }


def refuse_existing(paths: RunPaths) -> None:
    """Raises UsageError where a run directory is already there."""
    if paths.root.exists():
        raise UsageError(
            f"{paths.root} exists; go on with it: `gantune resume {paths.root}`, "
            "or choose another name (run: --name NAME, train: --out DIR)"
        )


def refuse_other_features(paths: RunPaths, facts: dict[str, Any]) -> None:
    """Raises UsageError where a run would go on in other features than it began in."""
    now = facts["features"]
    for session in read_info(paths.info).get("sessions", []):
        then = session.get("features") or now
        if then["hash"] != now["hash"]:
            raise UsageError(
                f"{paths.root} was measured in {then['name']} features {then['hash']}, and here "
                f"they are {now['name']} {now['hash']}: its values and new ones would not compare. "
                f"{_OTHER_FEATURES.get(now['name'], 'The data have changed')}"
            )


_OTHER_FEATURES = {
    "classifier": "The data have changed, or the classifier was trained on another machine: copy "
    "that machine's cache ($GANTUNE_CACHE)",
    "inception": "$GANTUNE_INCEPTION has other weights",
}


def create_run(
    paths: RunPaths, study: Study, prior: Prior | None = None, storage: str | None = None
) -> None:
    """Makes a run directory with its study file.

    Args:
        paths: Of the run.
        study: As resolved.
        prior: What it knows of an earlier run.
        storage: The URI under which a store is to keep it; see :mod:`gantune.tuning.store`.

    Raises:
        UsageError: It exists, or cannot be made, here or in the store.
    """
    refuse_existing(paths)
    text = _text(study)
    # Under another name first: a directory without a study is neither new nor resumable.
    half = RunPaths(paths.root.with_name(f".{paths.root.name}.{os.getpid()}"))
    try:
        half.root.mkdir(parents=True)
        write_atomically(half.study, text.encode())
        if prior:
            write_atomically(half.warm_start, prior.model_dump_json(indent=1).encode())
        if storage:
            choose_store(half, storage)
        half.root.rename(paths.root)
    except OSError as error:
        raise UsageError(f"{paths.root} cannot be made: {error.strerror or error}") from None


def rewrite_study(paths: RunPaths, study: Study) -> None:
    """Puts another budget into a run's study file. The caller holds the run's lock."""
    write_atomically(paths.study, _text(study).encode())


def _text(study: Study) -> str:
    return write_document({**as_written(study), "objective": objective_tree(study)})


def finish_run(conductor: Conductor, root: Path) -> RunEnd:
    """Closes the books of a session: tables, status, compact tables, no stale checkpoints.

    Args:
        conductor: Whose session it was.
        root: The run's directory as its user names it.

    Raises:
        RunError: The session could not write.
    """
    conductor.close()
    paths, ends = conductor.paths, conductor.ledger.ends
    if conductor.fatal:
        raise RunError(
            f"the run cannot go on: {conductor.fatal}; what was recorded is safe, "
            f"go on with `gantune resume {root}`"
        )
    for table in ("epochs", "trials", "steps"):
        compact(paths.table(table))
    for number in ends:
        drop_stale(paths.best(number))
        drop_stale(paths.last(number))
    status: RunStatus = "finished"
    if conductor.failed_fast:
        status = "failed"
    elif conductor.halted:
        status = "interrupted"
    elif conductor.was_stopped:
        status = "stopped"
    elif not any(row["status"] in ("completed", "stopped") for row in ends.values()):
        status = "failed"
    end_session(paths.info, status)
    return RunEnd(root, status)


@contextmanager
def interruptible() -> Iterator[threading.Event]:
    """Ctrl-C (or SIGTERM) sets the event; a second one is not held up.

    A process that SIGTERM has not ended after ``GRACE_S``, because its Ray has gone down with the
    same signal, is cut off: what is on disk is good at any moment.
    """
    event, cut_off = threading.Event(), threading.Timer(GRACE_S, _cut_off)
    cut_off.daemon = True
    if threading.current_thread() is not threading.main_thread():
        yield event
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    old = {number: signal.getsignal(number) for number in numbers}

    def interrupt(number: int, frame: FrameType | None) -> None:
        if number == signal.SIGTERM and not event.is_set():
            cut_off.start()
        event.set()
        signal.signal(number, signal.default_int_handler)

    for number in numbers:
        signal.signal(number, interrupt)
    try:
        yield event
    finally:
        cut_off.cancel()
        for number, handler in old.items():
            signal.signal(number, handler)


def _cut_off() -> None:
    sys.stderr.write(f"cut off: it did not end in {GRACE_S:.0f} s; go on with gantune resume\n")
    sys.stderr.flush()
    os._exit(INTERRUPTED)
