"""A trial's folder where it is trained, and in the store that keeps its run.

The store is what counts: before a trial is opened its files are brought from there, and they are
sent before its records are handed out. A trial can go on from them on any node.
"""

import shutil
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from gantune.remote import Remote, open_remote
from gantune.trial import TrialSpec

FOLDERS = ("samples", "best", "last")
"""Of a trial, in the order in which they are sent: ``last`` speaks of what is in the others."""

Key = tuple[int, int]


def placed(spec: TrialSpec) -> TrialSpec:
    """The spec with a folder that is there on this node.

    Of a run that is kept in a store, a node that does not see its directory trains in its own
    cache.
    """
    if spec.storage is None or Path(spec.folder).parent.parent.is_dir():
        return spec
    folder = Path(spec.folder)
    root = open_remote(spec.storage, "training").root
    return spec.model_copy(update={"folder": str(root / folder.parent.name / folder.name)})


class Sync(Protocol):
    """What a host does about a trial's folder besides writing into it."""

    def bring(self) -> None: ...

    def send(self) -> None: ...

    def close(self) -> None: ...


def sync_of(spec: TrialSpec) -> Sync:
    """For a trial whose run is kept in a store, or is at home where it is."""
    return TrialSync(spec, spec.storage) if spec.storage else AtHome()


class AtHome:
    """A trial's folder is all that there is."""

    def bring(self) -> None:
        """Nothing: it is here."""

    def send(self) -> None:
        """Nothing: it stays here."""

    def close(self) -> None:
        """Nothing."""


class TrialSync:
    """One trial's files, here and there."""

    def __init__(self, spec: TrialSpec, storage: str) -> None:
        self._folder = Path(spec.folder)
        run = self._folder.parent.parent
        self._remote: Remote = open_remote(storage, root=run)
        self._is_cache = run == open_remote(storage, "training").root
        self._sent: dict[Path, Key] = {}

    def bring(self) -> None:
        """Makes the folder here what it is in the store.

        Raises:
            OSError: The store cannot be read.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        for folder in (self._folder, *(self._folder / name for name in FOLDERS)):
            self._remote.bring_folder(folder)
        self._sent = {path: _key(path) for path in self._files()}

    def send(self) -> None:
        """Makes the folder in the store what it is here; what describes weights goes behind them.

        Raises:
            OSError: The store does not take it.
        """
        files = self._files()
        for path in files:
            if self._sent.get(path) != _key(path):
                self._remote.send(path)
                self._sent[path] = _key(path)
        for path in set(self._sent) - set(files):
            self._remote.remove(path)
            del self._sent[path]

    def close(self) -> None:
        """Frees the place that the trial has taken on a node that is not the run's."""
        if self._is_cache:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _files(self) -> list[Path]:
        folders = (self._folder, *(self._folder / name for name in FOLDERS))
        listed = [path for folder in folders for path in _plain_files(folder)]
        order = {folder: place for place, folder in enumerate(folders)}
        return sorted(listed, key=lambda p: (order[p.parent], p.name.startswith("meta-"), p.name))


def send_file(spec: TrialSpec, path: Path) -> None:
    """Sends one file of a trial's folder, if its run is kept in a store that takes it."""
    if spec.storage:
        root = Path(spec.folder).parent.parent
        with suppress(OSError):
            open_remote(spec.storage, root=root).send(path)


def _plain_files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return [path for path in folder.iterdir() if path.is_file() and path.name[0] != "."]


def _key(path: Path) -> Key:
    stat = path.stat()
    return stat.st_mtime_ns, stat.st_size
