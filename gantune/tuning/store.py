"""The store that keeps a run: chosen when the run is made, taken up again on any machine."""

import os
import re
import shutil
import socket
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from gantune.errors import RunError, UsageError
from gantune.kept import Mark, open_store, read_kept, read_mark, refuse_others
from gantune.loader import open_study
from gantune.lock import hold_lock
from gantune.ownership import refuse_of_store
from gantune.paths import RunPaths, refuse_links
from gantune.records import keep_first, read_table
from gantune.remote import Remote, address, is_remote, open_remote
from gantune.storage import write_json
from gantune.trial import Record, TrialSpec
from gantune.trialsync import FOLDERS
from gantune.tuning.mirror import TABLES, Mirror
from gantune.tuning.observer import Observer

_KEYS = {
    "s3": "are its keys and region set (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION)",
    "gs": "are its keys set (GOOGLE_APPLICATION_CREDENTIALS)",
}
"""What to ask where a store does not take a file."""

BEATS = 3
"""A session that is alive sends a mark within so many of its intervals."""


def storage_uri(storage: str, name: str) -> str:
    """The URI of a run in a store.

    Args:
        storage: ``s3://bucket/folder``, ``gs://...``, with options behind ``?``, or the whole path
            of a folder.
        name: The run's.

    Raises:
        UsageError: It is neither, or has keys in it.
    """
    if not is_remote(storage):
        if not Path(storage).is_absolute():
            raise UsageError(
                f"--storage {storage}: write s3://BUCKET/FOLDER, gs://BUCKET/FOLDER, or the whole "
                "path of a folder"
            )
        storage = f"file://{storage}"
    asks = re.match(r"([a-z0-9+.-]+://[^/?]*)@", storage)
    # That is no key: so an emulator of Google's is asked.
    if asks and asks[1] != "gs://anonymous":
        raise UsageError(
            "--storage: no keys in the address, it is kept with the run; set AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY, or what the store's own tools read"
        )
    place, mark, options = storage.partition("?")
    return f"{place.rstrip('/')}/{name}{mark}{options}"


def choose_store(paths: RunPaths, uri: str) -> None:
    """Notes that a new run is kept in a store."""
    write_json(paths.storage, {"uri": uri, "sessions": []})


def check_store(uri: str) -> None:
    """Tries a store that is to keep a new run, without trying for long.

    Raises:
        UsageError: It does not take a file, or has a run of that name, or something else.
    """
    remote = open_remote(uri)
    probe = remote.root / f"probe-{uuid.uuid4().hex}"
    try:
        remote.send_now(probe, b"gantune")
        remote.remove(probe)
    except OSError as error:
        keys = _KEYS.get(remote.uri.partition(":")[0], "may it be written to")
        raise UsageError(
            f"--storage: {remote.uri} cannot be written to: {error}. Does the bucket exist, and "
            f"{keys}?"
        ) from None
    if read_mark(remote) is not None:
        raise UsageError(
            f"{remote.uri} is a run already: go on with it, `gantune resume {remote.uri}`, or give "
            "this one another name: --name NAME"
        )
    refuse_others(remote, "give the run another name: --name NAME")


class Copies(Observer, Protocol):
    """What a session does about the store."""

    def bring(self, number: int) -> None: ...

    def finish(self) -> None: ...


class NoStore:
    """A run stays where it is."""

    def bring(self, number: int) -> None: ...

    def finish(self) -> None: ...

    def resumed(self, rows: Sequence[dict[str, Any]]) -> None: ...

    def began(self, spec: TrialSpec) -> None: ...

    def recorded(self, number: int, records: Sequence[Record], steps: Sequence[Record]) -> None: ...

    def paused(self, number: int, row: dict[str, Any]) -> None: ...

    def ended(self, number: int, row: dict[str, Any]) -> None: ...


@contextmanager
def mirrored(paths: RunPaths) -> Iterator[Copies]:
    """Keeps the store of a run, if it has one, up to date while a session goes on.

    The caller holds the run's lock.

    Raises:
        UsageError: The run went on somewhere else, or is running there, or the store is not its.
        RunError: The store does not take anything.
    """
    if not paths.storage.exists():
        yield NoStore()
        return
    mirror = open_mirror(paths)
    try:
        # Before any trial begins: one that a store has always belongs to a session that it knows.
        mirror.send(is_open=True)
    except OSError as error:
        raise RunError(f"the run cannot go on: {error}") from None
    with mirror.running():
        yield mirror


def open_mirror(paths: RunPaths) -> Mirror:
    """The mirror of a run that a store keeps, for a session that begins.

    The caller holds the run's lock.

    Raises:
        UsageError: The run went on somewhere else, or is running there, or the store is not its.
    """
    remote, kept, mark = open_store(paths)
    if mark is not None:
        _refuse_running(remote, mark)
    session = uuid.uuid4().hex
    write_json(paths.storage, {"uri": kept.uri, "sessions": [*kept.sessions, session]})
    mirror = Mirror(paths, remote, session)
    if mark is not None:
        # Of trials that ended on other nodes; those that go on are brought by who trains them.
        trials = RunPaths(remote.root).trial(0).parent
        # Below their folders: beside these are the segments of the table.
        remote.bring_missing(lambda path: path.is_relative_to(trials) and path.parent != trials)
        # A session that was lost may have left segments beyond its mark.
        for name in TABLES:
            folder = RunPaths(remote.root).table(name)
            mirror.replaces(path for path in remote.listed(folder) if path.suffix == ".arrow")
    return mirror


def _refuse_running(remote: Remote, mark: Mark) -> None:
    """A session elsewhere that is alive sends another mark within its interval."""
    here = mark.host == socket.gethostname()
    if not mark.is_open or (here and not _is_alive(mark.pid)):
        return
    if here and mark.pid == os.getpid():
        return
    time.sleep(BEATS * mark.every_s)
    later = read_mark(remote)
    if later and later.beat != mark.beat:
        raise UsageError(
            f"{remote.uri} is being run by process {mark.pid} on {mark.host}; wait for it, "
            "or stop it there"
        )


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def take_up(uri: str, runs_dir: Path, *, trust: bool) -> Path:
    """A run's directory here, made from its store if it is not there yet.

    Args:
        uri: Of the run.
        runs_dir: Where runs are kept here.
        trust: Whether code that the store has, its study's extensions, is taken over.

    Raises:
        UsageError: There is no such run in the store, another run of its name here, or code in it
            that is not trusted.
    """
    remote = open_remote(uri)
    root = runs_dir / remote.root.name
    if root.exists():
        paths = RunPaths(root)
        if paths.storage.exists() and open_remote(read_kept(paths.storage).uri).root == remote.root:
            return root
        raise UsageError(f"{root} is another run; give another directory: --runs-dir DIR")
    half = RunPaths(root.with_name(f".{root.name}.{os.getpid()}").resolve())
    try:
        _restore(open_remote(uri, root=half.root), half)
        kept = address(read_kept(half.storage).uri)
        if kept != remote.uri:
            raise UsageError(f"{remote.uri}: its storage.json names another store, {kept}")
        if open_study(half.study).extensions and not trust:
            refuse_of_store(remote.uri)
        half.root.rename(root)
    except OSError as error:
        raise UsageError(f"{remote.uri} cannot be read: {error}") from None
    finally:
        shutil.rmtree(half.root, ignore_errors=True)
    return root


def _restore(remote: Remote, paths: RunPaths) -> None:
    """Brings a run's files and cuts tables and journal to where they belong together."""
    mark = read_mark(remote)
    if mark is None:
        raise UsageError(f"{remote.uri} is no run that gantune keeps in a store")
    remote.bring_missing(lambda path: path != paths.mark)
    for name in TABLES:
        if paths.table(name).is_dir():
            keep_first(paths.table(name), mark.rows.get(name, 0))
    if paths.journal.exists():
        with open(paths.journal, "r+b") as file:
            file.truncate(min(mark.journal, paths.journal.stat().st_size))
    _forget_later_trials(remote, paths)


def _forget_later_trials(remote: Remote, paths: RunPaths) -> None:
    """Removes weights of trials that were asked for after the mark: they may be others now."""
    known = {row["number"] for row in read_table(paths.table("trials")).to_pylist()}
    for folder in paths.trial(0).parent.glob("*"):
        if folder.name.isdigit() and int(folder.name) not in known:
            for path in (path for name in FOLDERS for path in (folder / name).glob("*")):
                remote.remove(path)
                path.unlink()


def send_rest(root: Path) -> bool:
    """Sends what a finished run has that its store has not; returns whether there is a store.

    Raises:
        UsageError: A link leads out of the run, or the store is not its own, or ahead of it.
        RunError: The store does not take it.
    """
    paths = RunPaths(root)
    refuse_links(paths)
    if not paths.storage.exists():
        return False
    with hold_lock(paths.lock):
        mirror = open_mirror(paths)
        ends = read_table(paths.table("trials")).to_pylist()
        mirror.resumed([row for row in ends if row["status"] != "running"])
        mirror.finish()
    return True
