"""Runs a study with Ray Tune: from a study to a finished run directory."""

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import yaml

from gantune.checkpoints import drop_stale
from gantune.errors import RunError, UsageError
from gantune.paths import RunPaths, run_paths
from gantune.records import compact
from gantune.runinfo import RunStatus, begin_session, end_session
from gantune.storage import write_atomically
from gantune.study import Study, load_study
from gantune.tuning.cluster import count_slots, local_ray
from gantune.tuning.conductor import Conductor
from gantune.lock import hold_lock

if TYPE_CHECKING:
    from gantune.engine.materials import Materials
    from gantune.trial import Record, TrialSpec


class Progress(Protocol):
    """Shows a running study; see :mod:`gantune.tuning.progress`."""

    def began(self, spec: "TrialSpec") -> None: ...

    def recorded(self, number: int, records: "Sequence[Record]") -> None: ...

    def ended(self, number: int, row: dict[str, Any]) -> None: ...


MakeProgress = Callable[[Study], AbstractContextManager[Progress]]


class RunEnd(NamedTuple):
    """How a run ended.

    Attributes:
        root: Its directory.
        status: Finished, or interrupted and resumable.
        succeeded: Trials that were completed or stopped.
    """

    root: Path
    status: RunStatus
    succeeded: int


def run_study(
    study: Study,
    progress: MakeProgress,
    *,
    name: str | None = None,
    runs_dir: Path = Path("runs"),
    concurrency: int | None = None,
    study_file: Path | None = None,
) -> RunEnd:
    """Runs a new study to its end.

    Args:
        study: What to run.
        progress: Makes what shows the run.
        name: The run's name; default the study's.
        runs_dir: Where runs are kept.
        concurrency: Trials at once, at most; default as many as fit.
        study_file: Where the study came from.

    Raises:
        UsageError: The run exists, or cannot be made, or does not fit on the machine.
        RunError: It could not go on; `resume` goes on from here.
    """
    paths = run_paths(runs_dir, name or study.name)
    _refuse_existing(paths)
    with local_ray():
        slots, materials = _prepare(study, concurrency)
        create_run(paths, study)
        return _drive(paths, study, materials, slots, progress, study_file)


def resume_run(root: Path, progress: MakeProgress, *, concurrency: int | None = None) -> RunEnd:
    """Goes on with a run that was interrupted or killed; a finished one is left as it is.

    Raises:
        UsageError: There is no such run, or another process drives it.
        RunError: It could not go on.
    """
    paths = RunPaths(root)
    if not paths.study.is_file():
        raise UsageError(f"{root} is no run: it has no {paths.study.name}")
    study = load_study(paths.study)
    with hold_lock(paths.lock):
        pass  # refuse at once, before Ray takes its time
    with local_ray():
        slots, materials = _prepare(study, concurrency)
        return _drive(paths, study, materials, slots, progress, None)


def _prepare(study: Study, concurrency: int | None) -> "tuple[int, Materials]":
    """Slots, and what all trials share."""
    from gantune.engine.materials import make_materials

    slots = count_slots(study.resources)
    with ThreadPoolExecutor(1) as pool:
        materials = pool.submit(make_materials, study.trial).result()
    return min(slots, concurrency or slots), materials


def _refuse_existing(paths: RunPaths) -> None:
    if paths.root.exists():
        raise UsageError(
            f"{paths.root} exists; go on with it: `gantune resume {paths.root}`, "
            "or choose another name: --name NAME"
        )


def create_run(paths: RunPaths, study: Study) -> None:
    """Makes a run directory with its study file.

    Raises:
        UsageError: It exists, or cannot be made.
    """
    _refuse_existing(paths)
    try:
        paths.root.mkdir(parents=True)
        resolved = study.model_dump(mode="json", exclude_none=True)
        text = yaml.safe_dump(resolved, sort_keys=False, allow_unicode=True)
        write_atomically(paths.study, text.encode())
    except OSError as error:
        raise UsageError(f"{paths.root} cannot be made: {error.strerror or error}") from None


def _drive(
    paths: RunPaths,
    study: Study,
    materials: "Materials",
    slots: int,
    progress: MakeProgress,
    study_file: Path | None,
) -> RunEnd:
    with hold_lock(paths.lock):
        facts = {"slots": slots, "features": materials.reference.info._asdict()}
        begin_session(paths.info, study_file, facts)
        for request in paths.control.glob("stop-*") if paths.control.is_dir() else ():
            request.unlink()
        with progress(study) as shown:
            conductor = Conductor(paths, study, shown)
            with _interruptible() as interrupted:
                if conductor.remaining:
                    _fit(conductor, materials, slots, interrupted)
            conductor.close()
        return finish_run(conductor, interrupted=interrupted.is_set())


def finish_run(conductor: Conductor, *, interrupted: bool) -> RunEnd:
    """Closes the books of a session: status, compact tables, no stale checkpoints.

    Raises:
        RunError: The session could not write, or left trials behind without being interrupted.
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
    succeeded = sum(row["status"] in ("completed", "stopped") for row in ends.values())
    status: RunStatus = "interrupted" if interrupted else "finished"
    if status == "finished" and not succeeded:
        status = "failed"
    end_session(paths.info, status)
    return RunEnd(paths.root, status, succeeded)


@contextmanager
def _interruptible() -> Iterator[threading.Event]:
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


def _fit(
    conductor: Conductor, materials: "Materials", slots: int, interrupted: threading.Event
) -> None:
    """Lets Ray Tune run the conductor's trials."""
    from ray import tune

    from gantune.tuning.scheduler import StudyScheduler
    from gantune.tuning.searcher import StudySearcher
    from gantune.tuning.stopper import RunStopper
    from gantune.tuning.trainable import StudyTrainable

    study = conductor.study
    trainable = tune.with_resources(
        tune.with_parameters(StudyTrainable, materials=materials),
        {"cpu": study.resources.cpu, "gpu": study.resources.gpu},
    )
    session = len(list(conductor.paths.ray.glob("session-*"))) + 1
    tuner = tune.Tuner(
        trainable,
        tune_config=tune.TuneConfig(
            search_alg=StudySearcher(conductor),
            scheduler=StudyScheduler(conductor),
            num_samples=conductor.remaining,
            # It is also how far Tune asks ahead: more than the slots would ask with less known.
            max_concurrent_trials=slots,
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(
            name=f"session-{session:03d}",
            storage_path=str(conductor.paths.ray.resolve()),
            stop=RunStopper(conductor, interrupted),
            failure_config=tune.FailureConfig(max_failures=study.max_failures),
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            verbose=0,
        ),
    )
    tuner.fit()
