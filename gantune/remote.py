"""Runs in an object store: their files are brought here when they are asked for.

Everything else reads files, so that a remote run is read by the same code as a local one.
"""

import hashlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from gantune.errors import UsageError
from gantune.storage import cache_dir, write_atomically
from gantune.study import NAME_PATTERN

READ_ATTEMPTS = 3

_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
"""Names of a run's files; a store's own can be anything, and lead out of a folder."""

_NEVER_CHANGED = {".arrow", ".safetensors", ".png"}
"""With the same size and time such a file is the same; others are small."""


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

    def _bring(self, path: Path) -> None:
        there = f"{self._folder}/{path.relative_to(self.root).as_posix()}"
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
        time = info.mtime.timestamp() if info.mtime else 0.0
        if here.suffix in _NEVER_CHANGED and here.is_file():
            known = here.stat()
            if (known.st_size, known.st_mtime) == (info.size, time):
                return
        with self._system.open_input_stream(info.path) as stream:
            write_atomically(here, stream.read())
        os.utime(here, (time, time))


def open_remote(uri: str) -> Remote:
    """Finds a run's folder in a store; reads nothing yet.

    Args:
        uri: As pyarrow has it: ``s3://bucket/runs/lr_beta``, ``gs://...``. Keys come from the
            environment or the store's own files; ``?region=`` and ``?endpoint_override=`` go
            behind the path.

    Raises:
        UsageError: It is no URI of a store that can be read.
    """
    import pyarrow as pa
    from pyarrow.fs import FileSystem

    parts = urlsplit(uri)
    known = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path.rstrip('/')}"
    name = known.rpartition("/")[2]
    try:
        system, folder = FileSystem.from_uri(uri)
    except (pa.ArrowException, OSError) as error:
        reason = str(error).replace(uri, known)
        raise UsageError(f"{known} names no store that can be read: {reason}") from None
    if not re.fullmatch(NAME_PATTERN, name) or "/" not in folder.strip("/"):
        raise UsageError(f"{known} names no run: it ends in the run's name, BUCKET/FOLDER/NAME")
    # Two stores can have a run of the same name.
    key = hashlib.sha256(f"{known}?{parts.query}".encode()).hexdigest()[:16]
    root = cache_dir() / "runs" / key / name
    return Remote(known, root, system, folder.rstrip("/"))
