"""A run's copy in a store, kept up while the run goes on.

Workers send their trials' files themselves (:mod:`gantune.trialsync`); the driver's thread here
sends all else. Journal and tables are only appended to and belong together; a store takes one file
after the other. So what is sent is what stood in all of them at one moment, and ``mark.json``, sent
last, says how much of each that was: whoever takes the run up from the store cuts them to it.
"""

import os
import socket
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from gantune.errors import GantuneError, RunError
from gantune.kept import Mark
from gantune.paths import RunPaths
from gantune.records import count_rows, segments
from gantune.remote import Remote
from gantune.trial import Record, TrialSpec
from gantune.trialsync import FOLDERS

EVERY_S = 5.0
"""Seconds between two times that the store is brought up to date, at least."""

AT_MOST_S = 60.0
"""Seconds between them, at most; in between, ten times as long as sending took."""

TABLES = ("trials", "epochs", "steps")
"""In the order in which a moment of them is taken: what is written first comes last."""

Key = tuple[int, int, int]

NEVER: Key = (0, 0, 0)
"""Of a file as it is in the store: no file here is that."""


class _Moment(NamedTuple):
    """Journal and tables as they stood together.

    Attributes:
        files: All of them.
        changed: What of them is not in the store yet.
        journal: Bytes of the journal.
        rows: Rows of each table.
    """

    files: set[Path]
    changed: dict[Path, tuple[Key, bytes]]
    journal: int
    rows: dict[str, int]


class Mirror:
    """Sends what the driver writes; an observer, that brings in what workers have written."""

    def __init__(self, paths: RunPaths, remote: Remote, session: str) -> None:
        """Makes a mirror that has sent nothing yet.

        Args:
            paths: The run, which this process drives.
            remote: The run's folder in the store.
            session: Names this session of the run.
        """
        self._paths, self._remote = RunPaths(remote.root), remote
        self._session, self._beat, self._every_s = session, 0, EVERY_S
        self._sent: dict[Path, Key] = {}
        self._rows: dict[Path, int] = {}
        self._ended: set[int] = set()
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._run, name="mirror", daemon=True)
        self._error: str | None = None
        self._lock = threading.Lock()

    def replaces(self, paths: Iterable[Path]) -> None:
        """Names files that an earlier session has sent: sent anew, or removed if not here."""
        self._sent |= dict.fromkeys(paths, NEVER)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Keeps the store up to date for as long as the context lasts."""
        self._thread.start()
        try:
            yield
        finally:
            self._stop()

    def _stop(self) -> None:
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        wait = 0.0
        while not self._wake.wait(wait):
            began = time.monotonic()
            try:
                self.send(is_open=True)
            except (OSError, GantuneError) as error:
                self._error = str(error)
                return
            wait = self._every_s = min(max(EVERY_S, 10 * (time.monotonic() - began)), AT_MOST_S)

    def finish(self) -> None:
        """Sends the rest; nobody writes to the run any more.

        Raises:
            RunError: The store does not take it.
        """
        self._stop()
        try:
            self.send(is_open=False)
        except OSError as error:
            raise RunError(
                f"the run is whole in {self._paths.root}, and not in {self._remote.uri}: {error}; "
                f"to send the rest: `gantune resume {self._paths.root}`"
            ) from None

    def bring(self, number: int) -> None:
        """Brings a trial's files from where it was trained.

        Raises:
            OSError: The store cannot be read, or has what no worker writes.
        """
        folder = self._paths.trial(number)
        try:
            self._remote.add_files(folder)  # a worker that was ended here has left word here
            for name in FOLDERS:
                self._remote.bring_folder(folder / name)
        except GantuneError as error:
            raise OSError(str(error)) from None
        with self._lock:
            self._sent |= {path: _key(path) for path in _files(folder)}

    def resumed(self, rows: Sequence[dict[str, Any]]) -> None:
        """Takes in what was there before."""
        self._ended |= {row["number"] for row in rows}

    def began(self, spec: TrialSpec) -> None: ...

    def recorded(self, number: int, records: Sequence[Record], steps: Sequence[Record]) -> None:
        """Raises OSError where the store has not answered for long: the session ends."""
        if self._error:
            raise OSError(f"{self._remote.uri}: {self._error}")

    def paused(self, number: int, row: dict[str, Any]) -> None: ...

    def ended(self, number: int, row: dict[str, Any]) -> None:
        """From now on nobody but the driver writes into the trial's folder."""
        self._ended.add(number)

    def send(self, *, is_open: bool) -> None:
        """Brings the store up to date, once.

        Args:
            is_open: Whether the session goes on.

        Raises:
            OSError: The store does not take it.
        """
        self._refuse_overtaken()
        moment = self._moment()
        with self._lock:
            files = self._own_files()
            gone = set(self._sent) - set(files) - moment.files
            changed = [path for path, key in files.items() if self._sent.get(path) != key]
        for path in changed:
            try:
                self._remote.send(path)
                self._note(path, _key(path))
            except FileNotFoundError:
                continue  # removed since
        for path, (key, data) in moment.changed.items():
            self._remote.send(path, data)
            self._note(path, key)
        self._send_mark(moment, is_open=is_open)
        for path in gone:
            self._remote.remove(path)
            self._sent.pop(path, None)

    def _refuse_overtaken(self) -> None:
        """A session that was cut off for a while, and then goes on, is no longer the only one."""
        found = self._remote.read(self._paths.mark) if self._beat else None
        if found is not None and self._session.encode() not in found:
            raise OSError("the run went on from another machine meanwhile")

    def _note(self, path: Path, key: Key) -> None:
        with self._lock:
            self._sent[path] = key

    def _send_mark(self, moment: _Moment, *, is_open: bool) -> None:
        self._beat += 1
        mark = Mark(
            session=self._session,
            host=socket.gethostname(),
            pid=os.getpid(),
            is_open=is_open,
            beat=self._beat,
            every_s=self._every_s,
            journal=moment.journal,
            rows=moment.rows,
        )
        self._remote.send(self._paths.mark, mark.model_dump_json(indent=1).encode())

    def _moment(self) -> _Moment:
        """Waits for an instant at which nothing is written: two looks that see the same."""
        while True:
            with ExitStack() as stack:
                first = self._tables_and_journal()
                try:
                    opened = {
                        path: stack.enter_context(open(path, "rb"))
                        for path, key in first.items()
                        if self._sent.get(path) != key
                    }
                except FileNotFoundError:
                    continue  # joined with others
                if self._tables_and_journal() == first:
                    read = {
                        path: (first[path], f.read(first[path][1])) for path, f in opened.items()
                    }
                    journal = first.get(self._paths.journal)
                    size = journal[1] if journal else 0
                    return _Moment(set(first), read, size, self._count(first, read))
            time.sleep(0.001)

    def _count(self, sizes: dict[Path, Key], read: dict[Path, tuple[Key, bytes]]) -> dict[str, int]:
        rows = dict.fromkeys(TABLES, 0)
        for path in sizes:
            if path != self._paths.journal:
                if path in read:
                    self._rows[path] = count_rows(path, read[path][1])
                rows[path.parent.name] += self._rows[path]
        return rows

    def _tables_and_journal(self) -> dict[Path, Key]:
        paths = [path for name in TABLES for path in segments(self._paths.table(name))]
        return _keys([*paths, self._paths.journal])

    def _own_files(self) -> dict[Path, Key]:
        """What else of the run the driver has written, or has taken over from workers."""
        paths = self._paths
        # By the first of them a run is known that is lost before its first mark.
        alone = [paths.storage, paths.study, paths.info, paths.warm_start]
        alone += [paths.real_modes, paths.real_samples]
        events = sorted((paths.root / "tensorboard").rglob("*"))
        ended = [path for number in sorted(self._ended) for path in _files(paths.trial(number))]
        return _keys([*alone, *(path for path in events if path.is_file()), *ended])


def _files(folder: Path) -> list[Path]:
    """A trial's files; none that is being written."""
    folders = (folder, *(folder / name for name in FOLDERS))
    return [
        path
        for each in folders
        if each.is_dir()
        for path in each.iterdir()
        if path.name[0] != "." and path.is_file()
    ]


def _keys(paths: Sequence[Path]) -> dict[Path, Key]:
    found = {}
    for path in paths:
        try:
            found[path] = _key(path)
        except FileNotFoundError:
            continue
    return found


def _key(path: Path) -> Key:
    stat = path.stat()
    return stat.st_mtime_ns, stat.st_size, stat.st_ino
