"""Runs a study with Ray Tune: from a study to a finished run directory."""

import logging
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from gantune.engine.real import keep_real
from gantune.errors import MemoryKillError, UsageError
from gantune.loader import load_run_study
from gantune.lock import hold_lock
from gantune.paths import RunPaths, refuse_links, run_paths
from gantune.records import read_table
from gantune.runinfo import begin_session
from gantune.study import Study
from gantune.tuning.cluster import count_slots, local_ray
from gantune.tuning.conductor import Conductor
from gantune.tuning.extension import Extension, extended, refuse_changed
from gantune.tuning.lifecycle import (
    MakeProgress,
    RunEnd,
    create_run,
    finish_run,
    interruptible,
    refuse_existing,
    refuse_other_features,
    rewrite_study,
    session_facts,
)
from gantune.tuning.observers import check_loggers, observed
from gantune.tuning.prior import read_prior
from gantune.tuning.remote import check_shared, joined_ray
from gantune.tuning.store import check_store, mirrored, storage_uri

NO_EXTENSION = Extension()

OUT_OF_MEMORY = (
    "Ray killed a worker because its node ran out of memory: run fewer trials at once "
    "(--concurrency), or smaller ones"
)

if TYPE_CHECKING:
    from gantune.engine.materials import Materials
    from gantune.tuning.warm import WarmStart


def run_study(
    study: Study,
    progress: MakeProgress,
    *,
    name: str | None = None,
    runs_dir: Path = Path("runs"),
    concurrency: int | None = None,
    address: str | None = None,
    storage: str | None = None,
    study_file: Path | None = None,
    warm: "WarmStart | None" = None,
) -> RunEnd:
    """Runs a new study to its end.

    Args:
        study: What to run.
        progress: Makes what shows the run.
        name: The run's name; default the study's.
        runs_dir: Where runs are kept.
        concurrency: Trials at once, at most; default as many as fit.
        address: Of a Ray cluster to run on; None: Ray is started on this machine.
        storage: Of a store that is to keep the run: ``s3://BUCKET/FOLDER`` or the like.
        study_file: Where the study came from.
        warm: What its sampler knows of an earlier run.

    Raises:
        UsageError: The run exists, or cannot be made, or does not fit on the machine, or no cluster
            answers at the address.
        RunError: It could not go on; `resume` goes on from here.
    """
    paths = run_paths(runs_dir, name or study.name)
    refuse_existing(paths)
    check_loggers(study)
    uri = storage_uri(storage, paths.root.name) if storage else None
    if uri:
        check_store(uri)
    with ExitStack() as held:
        try:
            with _prepared(study, concurrency, address) as room:
                if warm:
                    warm.check_measured(study, paths.root, room.materials)
                create_run(paths, study, warm.prior if warm else None, uri)
                held.enter_context(hold_lock(paths.lock))
                return _drive(paths, study, room, progress, study_file)
        except MemoryKillError as error:
            warnings.warn(str(error), stacklevel=2)
            return _go_on(paths, study, progress, concurrency, address)


def resume_run(
    root: Path,
    progress: MakeProgress,
    *,
    concurrency: int | None = None,
    address: str | None = None,
    extension: Extension = NO_EXTENSION,
    trust: bool = False,
) -> RunEnd:
    """Goes on with a run that was interrupted or killed, or is given more to do.

    Args:
        root: The run's directory.
        progress: Makes what shows the run.
        concurrency: Trials at once, at most; default as many as fit.
        address: Of a Ray cluster to run on; None: Ray is started on this machine.
        extension: What its budget is given on top.
        trust: Whether its study's extensions are run where the run is another user's.

    Raises:
        UsageError: There is no such run, a link leads out of it, its study was changed, the
            extension is no more than it had, its extensions are another user's, or another process
            drives it.
        RunError: It could not go on.
    """
    paths = RunPaths(root)
    if not paths.study.is_file():
        raise UsageError(f"{root} is no run: it has no {paths.study.name}")
    refuse_links(paths)
    # Held while Ray takes its time, too: another `resume` may extend the study meanwhile.
    with hold_lock(paths.lock):
        for request in paths.control.glob("*") if paths.control.is_dir() else ():
            request.unlink()  # of an earlier session
        study = load_run_study(paths.study, trust=trust)
        check_loggers(study)
        refuse_changed(paths, study)
        if extension != NO_EXTENSION:
            study = extended(study, paths, extension)
        try:
            with _prepared(study, concurrency, address) as room:
                return _drive(paths, study, room, progress, None)
        except MemoryKillError as error:
            warnings.warn(str(error), stacklevel=2)
            return _go_on(paths, study, progress, concurrency, address)


def _go_on(
    paths: RunPaths,
    study: Study,
    progress: MakeProgress,
    concurrency: int | None,
    address: str | None,
) -> RunEnd:
    """Goes on after a session that a kill for memory has ended, in as many more as it takes.

    The caller holds the run's lock. Whose worker it was is not known. Where so many sessions as a
    trial has attempts have brought no record, what ran in them fails.
    """
    attempts = 1
    while True:
        lost = OUT_OF_MEMORY if attempts > study.max_failures else None
        before = _recorded(paths)
        try:
            with _prepared(study, concurrency, address) as room:
                return _drive(paths, study, room, progress, None, lost)
        except MemoryKillError:
            attempts = 1 if lost or _recorded(paths) > before else attempts + 1


def _recorded(paths: RunPaths) -> int:
    return int(read_table(paths.table("epochs")).num_rows)


class _Room(NamedTuple):
    """Where trials run.

    Attributes:
        slots: Trials that Ray can hold at once.
        begins_with: Of them, until another terminal asks for others.
        materials: What trials share.
    """

    slots: int
    begins_with: int
    materials: "Materials"


@contextmanager
def _prepared(study: Study, concurrency: int | None, address: str | None) -> Iterator[_Room]:
    """Ray, how many trials it holds at once, and what they all share."""
    if address:
        with joined_ray(address):  # where nobody answers nothing else is begun
            slots = count_slots(study)
            yield _Room(slots, min(slots, concurrency or slots), _make_materials(study))
        return
    with ThreadPoolExecutor(1) as pool:
        # Ray's start is mostly waiting; importing torch and reading the data go on meanwhile.
        materials = pool.submit(_make_materials, study)
        with local_ray():
            slots = count_slots(study)
            yield _Room(slots, min(slots, concurrency or slots), materials.result())


def _make_materials(study: Study) -> "Materials":
    from gantune.engine.materials import make_materials

    return make_materials(study.trial)


def _drive(
    paths: RunPaths,
    study: Study,
    room: _Room,
    progress: MakeProgress,
    study_file: Path | None,
    lost: str | None = None,
) -> RunEnd:
    """One session, to its end. The caller holds the run's lock.

    Args:
        paths: The run's.
        study: Its study.
        room: Where its trials run.
        progress: Makes what shows the run.
        study_file: Where the study came from.
        lost: Why unfinished trials are not taken up again; None: they are.
    """
    check_shared(paths)
    with mirrored(paths) as mirror:
        facts = session_facts(study, room.materials, room.begins_with)
        if prior := read_prior(paths):
            facts["warm_start"] = prior.facts
        refuse_other_features(paths, facts)
        rewrite_study(paths, study)  # nothing refuses it any more: it may have grown
        begin_session(paths.info, study_file, facts)
        keep_real(paths, room.materials.dataset, study.trial.data)
        with observed(paths, study, progress, mirror) as observer:
            conductor = Conductor(paths, study, observer, mirror.bring)
            with interruptible() as interrupted:
                conductor.halts_on(interrupted)
                if lost:
                    conductor.give_up_unfinished(lost)
                if conductor.remaining:
                    _fit(conductor, room)
                while conductor.has_lost:
                    _fit(conductor, room)
        end = finish_run(conductor, paths.root)
        mirror.finish()
        return end


def _fit(conductor: Conductor, room: _Room) -> None:
    """Lets Ray Tune run the conductor's trials."""
    from ray import tune
    from ray.exceptions import OutOfMemoryError

    from gantune.tuning.forgetful import Forgetful
    from gantune.tuning.scheduler import StudyScheduler
    from gantune.tuning.searcher import StudySearcher
    from gantune.tuning.stopper import RunStopper
    from gantune.tuning.trainable import StudyTrainable
    from gantune.tuning.watch import Watch

    # Of Tune's own snapshots, which nobody reads.
    logging.getLogger("ray.tune.execution.experiment_state").setLevel(logging.CRITICAL)
    study = conductor.study
    trainable = tune.with_resources(
        tune.with_parameters(StudyTrainable, materials=room.materials),
        {"cpu": study.resources.cpu, "gpu": study.resources.gpu},
    )
    session = len(list(conductor.paths.ray.glob("session-*"))) + 1
    watches = [Watch(conductor, study.stall_timeout)] if study.stall_timeout else []
    tuner = tune.Tuner(
        trainable,
        tune_config=tune.TuneConfig(
            search_alg=StudySearcher(conductor, room.begins_with),
            scheduler=StudyScheduler(conductor),
            num_samples=-1,  # until the searcher has no more
            # It is also how far Tune asks ahead: more than the slots would ask with less known.
            max_concurrent_trials=room.slots,
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(
            name=f"session-{session:03d}",
            storage_path=str(conductor.paths.ray.resolve()),
            stop=RunStopper(conductor),
            failure_config=tune.FailureConfig(max_failures=study.max_failures),
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            verbose=0,
            callbacks=[Forgetful(), *watches],
        ),
    )
    try:
        tuner.fit()
    except RuntimeError as error:
        if not isinstance(error.__cause__, OutOfMemoryError):
            raise
        conductor.close()
        raise MemoryKillError(f"{OUT_OF_MEMORY}; going on in a new session") from None
