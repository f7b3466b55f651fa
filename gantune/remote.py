"""Runs in an object store: files are brought here when they are asked for, and sent there.

Everything else reads and writes files, so that a remote run is read by the same code as a local
one, and a run that is kept in a store is written by it.
"""

import hashlib
import os
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from gantune.errors import GantuneError, UsageError
from gantune.patience import patiently
from gantune.storage import MAX_BYTES, cache_dir, is_temporary, write_atomically, write_chunks
from gantune.study import NAME_PATTERN

READ_ATTEMPTS = 3

CHUNK = 2**24
"""Bytes of a file that are in memory at a time while it is brought."""

_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
"""Names of a run's files; a store's own can be anything, and lead out of a folder."""

_NEVER_CHANGED = {".arrow", ".safetensors", ".png"}
"""With the same size and time such a file is the same; others are small."""

_PARSED = {".json", ".yaml"}
"""Parsed as a whole; all else can be of any size."""
_TOO_LARGE = f"is damaged: it is larger than {MAX_BYTES:,} bytes"


def is_remote(path: str | Path) -> bool:
    """Whether a run is named by the URI of a store: ``s3://``, ``gs://``."""
    return re.match(r"[a-z][a-z0-9+.-]+://", str(path)) is not None


@dataclass(frozen=True)
class Remote:
    """A run's folder in a store.

    Attributes:
        uri: What people call it: without keys and options.
        root: The folder here that its files come to.
    """

    uri: str
    root: Path
    _system: Any = field(repr=False)  # a pyarrow.fs.FileSystem
    _folder: str = field(repr=False)

    def bring(self, path: Path) -> None:
        """Makes a file, or a folder's files, here what they are in the store.

        Args:
            path: Below ``root``; of a folder its own files, not those of folders in it.

        Raises:
            UsageError: The store cannot be read.
            GantuneError: A file is larger than any that is parsed as a whole.
        """
        for attempt in range(READ_ATTEMPTS):
            try:
                self._bring(path)
                return
            except FileNotFoundError:
                if attempt == READ_ATTEMPTS - 1:
                    raise UsageError(f"{self.uri} changes faster than it can be read") from None
            except OSError as error:
                raise UsageError(f"{self.uri} cannot be read: {error}") from None

    def bring_folder(self, folder: Path) -> None:
        """As :meth:`bring`, of a folder, for as long as the store takes to answer.

        Raises:
            OSError: It does not, for :data:`gantune.patience.PATIENCE_S`.
            GantuneError: A file is larger than any that is parsed as a whole.
        """
        patiently(lambda: self._bring(folder))

    def add_files(self, folder: Path) -> None:
        """Brings a folder's own files, and leaves here what the store does not have.

        Raises:
            OSError: The store does not answer, for :data:`gantune.patience.PATIENCE_S`.
            GantuneError: A file is larger than any that is parsed as a whole.
        """

        def add() -> None:
            for info in self._files(self._there(folder)):
                self._download(info, folder / info.base_name)

        patiently(add)

    def _bring(self, path: Path) -> None:
        there = self._there(path)
        found = list(self._files(there))
        names = {info.base_name for info in found}
        for old in [path] if path.is_file() else [*path.glob("*")]:
            if old.is_file() and old.name not in names:
                old.unlink(missing_ok=True)
        for info in found:
            self._download(info, path if info.path == there else path / info.base_name)

    def _files(self, there: str) -> Iterator[Any]:
        from pyarrow.fs import FileSelector, FileType

        (info,) = self._system.get_file_info([there])
        listed = [info]
        if info.type == FileType.Directory:
            listed = self._system.get_file_info(FileSelector(there))
        for each in listed:
            if each.type == FileType.File and _FILE.fullmatch(each.base_name):
                yield each

    def _download(self, info: Any, here: Path) -> None:
        if here.suffix in _NEVER_CHANGED and here.is_file():
            known = here.stat()
            if (known.st_size, known.st_mtime) == (info.size, _changed(info)):
                return
        if here.suffix in _PARSED and info.size > MAX_BYTES:
            raise GantuneError(f"{self.uri}: {here.name} {_TOO_LARGE}")
        with self._system.open_input_stream(info.path) as stream:
            write_chunks(here, iter(partial(stream.read, CHUNK), b""))
        os.utime(here, (_changed(info), _changed(info)))

    def bring_missing(self, wanted: Callable[[Path], bool]) -> None:
        """Brings, from all folders, files that are not here, or of another size.

        Args:
            wanted: Which of them, by their paths below ``root``.

        Raises:
            OSError: The store cannot be read.
            GantuneError: A file is larger than any that is parsed as a whole.
        """
        from pyarrow.fs import FileSelector, FileType

        tree = FileSelector(self._folder, recursive=True, allow_not_found=True)
        for info in patiently(lambda: self._system.get_file_info(tree)):
            path = self.root / Path(info.path).relative_to(self._folder)
            names = path.relative_to(self.root).parts
            if info.type != FileType.File or not all(map(_FILE.fullmatch, names)):
                continue
            if wanted(path) and not (path.is_file() and path.stat().st_size == info.size):
                with suppress(FileNotFoundError):  # replaced since: it is no part of a mark
                    patiently(partial(self._download, info, path))

    def listed(self, folder: Path) -> list[Path]:
        """A folder's own files in the store, by their paths here.

        Raises:
            OSError: The store cannot be read.
        """
        found = patiently(lambda: list(self._files(self._there(folder))))
        return [folder / info.base_name for info in found]

    def names(self) -> list[str]:
        """What is anywhere in the run's folder in the store; none that is half written.

        Raises:
            OSError: The store cannot be read.
        """
        from pyarrow.fs import FileSelector

        # Google has no folders: one that holds nothing but folders looks empty from above.
        tree = FileSelector(self._folder, recursive=True, allow_not_found=True)
        found = patiently(lambda: self._system.get_file_info(tree))
        return [info.base_name for info in found if not is_temporary(info.base_name)]

    def read(self, path: Path) -> bytes | None:
        """A small file as it is in the store; None where there is none.

        Raises:
            OSError: The store cannot be read.
            GantuneError: The file is larger than any that is parsed as a whole.
        """

        def read() -> bytes:
            with self._system.open_input_stream(self._there(path)) as stream:
                return bytes(stream.read(MAX_BYTES + 1))

        with suppress(FileNotFoundError):
            if len(data := patiently(read)) > MAX_BYTES:
                raise GantuneError(f"{self.uri}: {path.name} {_TOO_LARGE}")
            return data
        return None

    def send(self, path: Path, data: bytes | None = None) -> None:
        """Writes a file of the run to the store, whole or not at all.

        The file here is given the time of the one there, by which it is known as the same.

        Args:
            path: Below ``root``.
            data: What to write where that is not all of the file.

        Raises:
            OSError: The store does not take it, for :data:`gantune.patience.PATIENCE_S`.
        """
        patiently(lambda: self._send(path, path.read_bytes() if data is None else data))
        if data is None and path.suffix in _NEVER_CHANGED:
            (info,) = patiently(lambda: self._system.get_file_info([self._there(path)]))
            os.utime(path, (_changed(info), _changed(info)))

    def send_now(self, path: Path, data: bytes) -> None:
        """Writes a file to the store at the first attempt, or raises OSError."""
        self._send(path, data)

    def _send(self, path: Path, data: bytes) -> None:
        from pyarrow.fs import LocalFileSystem

        if isinstance(self._system, LocalFileSystem):
            write_atomically(Path(self._there(path)), data)
            return
        with self._system.open_output_stream(self._there(path)) as stream:
            stream.write(data)

    def remove(self, path: Path) -> None:
        """Removes a file of the run from the store.

        Raises:
            OSError: The store does not let it go.
        """
        with suppress(FileNotFoundError):
            patiently(lambda: self._system.delete_file(self._there(path)))

    def _there(self, path: Path) -> str:
        return f"{self._folder}/{path.relative_to(self.root).as_posix()}"


def _changed(info: Any) -> float:
    return info.mtime.timestamp() if info.mtime else 0.0


def address(uri: str) -> str:
    """What people call a run in a store: its URI without keys and options.

    Raises:
        ValueError: It is no URI.
    """
    parts = urlsplit(uri)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path.rstrip('/')}"


def _bounded(uri: str) -> str:
    """Google's client tries for 15 minutes by itself; here its callers decide for how long."""
    if not uri.startswith(("gs://", "gcs://")) or "retry_limit_seconds=" in uri:
        return uri
    return f"{uri}{'&' if '?' in uri else '?'}retry_limit_seconds=5"


def open_remote(uri: str, use: str = "runs", root: Path | None = None) -> Remote:
    """Finds a run's folder in a store; reads nothing yet.

    Args:
        uri: As pyarrow has it: ``s3://bucket/runs/lr_beta``, ``gs://...``. Keys come from the
            environment or the store's own files; ``?region=`` and ``?endpoint_override=`` go
            behind the path.
        use: The folder of the cache that its files come to: who reads a run keeps out of the way of
            who trains it.
        root: Where its files are here, if not in the cache.

    Raises:
        UsageError: It is no URI of a store that can be read.
    """
    import pyarrow as pa
    from pyarrow.fs import FileSystem

    known, bounded = address(uri), _bounded(uri)
    name = known.rpartition("/")[2]
    try:
        system, folder = FileSystem.from_uri(bounded)
    except (pa.ArrowException, OSError) as error:
        reason = str(error).replace(bounded, known)
        raise UsageError(f"{known} names no store that can be read: {reason}") from None
    if not re.fullmatch(NAME_PATTERN, name) or "/" not in folder.strip("/"):
        raise UsageError(f"{known} names no run: it ends in the run's name, BUCKET/FOLDER/NAME")
    # Two stores can have a run of the same name.
    key = hashlib.sha256(f"{known}?{urlsplit(uri).query}".encode()).hexdigest()[:16]
    return Remote(known, root or cache_dir() / use / key / name, system, folder.rstrip("/"))
