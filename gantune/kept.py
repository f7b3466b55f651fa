"""The store that keeps a run, and whether what is there is the run's."""

from pathlib import Path
from typing import NamedTuple

from pydantic import BaseModel, ValidationError

from gantune.errors import GantuneError, UsageError
from gantune.paths import RunPaths
from gantune.remote import Remote, address, open_remote
from gantune.storage import read_json


class Kept(BaseModel):
    """Which store keeps a run, and the sessions that have written there."""

    uri: str
    sessions: list[str]


class Mark(BaseModel):
    """What a session has sent, and that it goes on.

    Attributes:
        session: Names it.
        host: Where its driver runs.
        pid: The driver's process.
        is_open: Whether it goes on.
        beat: Another number each time.
        every_s: Seconds to the next.
        journal: Bytes of the journal.
        rows: Rows of each table.
    """

    session: str
    host: str
    pid: int
    is_open: bool
    beat: int
    every_s: float
    journal: int
    rows: dict[str, int]


class Store(NamedTuple):
    """The store of a run.

    Attributes:
        remote: The run's folder in it.
        kept: What the run says of it.
        mark: What the last session has sent; None where none has come so far.
    """

    remote: Remote
    kept: Kept
    mark: Mark | None


def read_kept(storage: Path) -> Kept:
    """Reads a run's ``storage.json``.

    Raises:
        GantuneError: It is damaged.
    """
    try:
        return Kept.model_validate(read_json(storage))
    except ValidationError as error:
        raise GantuneError(f"{storage} is damaged: {error.errors()[0]['msg']}") from None


def uri_of(storage: Path) -> str | None:
    """The URI under which a store keeps a run; None for one that stays where it is.

    Args:
        storage: The run's ``storage.json``.

    Raises:
        GantuneError: It is damaged.
    """
    return read_kept(storage).uri if storage.exists() else None


def read_mark(remote: Remote) -> Mark | None:
    """What the last session has sent; None where no run is.

    Raises:
        UsageError: The store cannot be read, or what is there is no mark.
    """
    try:
        data = remote.read(RunPaths(remote.root).mark)
    except OSError as error:
        raise UsageError(f"{remote.uri} cannot be read: {error}") from None
    if data is None:
        return None
    try:
        return Mark.model_validate_json(data)
    except ValidationError as error:
        raise UsageError(
            f"{remote.uri}: mark.json is damaged: {error.errors()[0]['msg']}"
        ) from None


def open_store(paths: RunPaths) -> Store:
    """The store that keeps a run, to write to it or remove from it.

    A run that was received says where it is kept as it likes: only what is the run's own there, or
    nothing at all, is taken for its store.

    Raises:
        UsageError: What is there is something else, or another run, or went on without this one.
    """
    kept = read_kept(paths.storage)
    remote = open_remote(kept.uri, root=paths.root.resolve())
    mark = read_mark(remote)
    if mark is None:
        refuse_others(
            remote,
            f"{paths.storage} names it as the run's store: without that file the run stays here",
        )
    elif mark.session not in kept.sessions:
        raise UsageError(
            f"{remote.uri} is ahead of {paths.root}: it went on from {mark.host}. Go on "
            f"there, or take it up from the store into another directory: "
            f"`gantune resume {remote.uri} --runs-dir DIR`"
        )
    return Store(remote, kept, mark)


def refuse_others(remote: Remote, advice: str) -> None:
    """Refuses a folder without a mark that holds anything but what a lost session has left.

    Such a session has sent ``storage.json`` before all else, and nobody could go on from the rest.

    Raises:
        UsageError: It does, or cannot be read.
    """
    try:
        names = remote.names()
        noted = remote.read(RunPaths(remote.root).storage) if names else None
    except OSError as error:
        raise UsageError(f"{remote.uri} cannot be read: {error}") from None
    if names and not _names(noted, remote):
        raise UsageError(f"{remote.uri} holds other files than a run that it keeps; {advice}")


def _names(noted: bytes | None, remote: Remote) -> bool:
    """Whether a store's own ``storage.json`` names the folder that it is in."""
    try:
        return address(Kept.model_validate_json(noted or b"").uri) == remote.uri
    except ValueError:
        return False
