"""Writing files so that a crash leaves the old one or the new one, never half of one."""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from gantune.errors import GantuneError

MAX_BYTES = 50_000_000
"""Of a file that is parsed as a whole: a trial's records of 40,000 epochs, run.json of thousands of
sessions."""


def cache_dir() -> Path:
    """Where classifiers and remote runs are kept.

    ``$GANTUNE_CACHE``, or ``gantune`` in the user's cache.
    """
    if own := os.environ.get("GANTUNE_CACHE"):
        return Path(own)
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "gantune"


def write_atomically(path: Path, data: bytes) -> None:
    """Writes a file under a temporary name in the same folder, syncs it and moves it."""
    write_chunks(path, [data])


def write_chunks(path: Path, chunks: Iterable[bytes]) -> None:
    """As :func:`write_atomically`, of a file that comes in parts, and need not fit into memory."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            for chunk in chunks:
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)  # a full disk needs the room
        raise
    sync_folder(path.parent)


def is_temporary(name: str) -> bool:
    """Whether a file is called as :func:`write_atomically` calls what a crash leaves behind."""
    return name.startswith(".") and name.endswith(".tmp")


def sync_folder(folder: Path) -> None:
    """Makes names in a folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_json(path: Path, value: Any) -> None:
    """Writes readable JSON; a number that JSON does not have is an error, not ``NaN``."""
    text = json.dumps(value, indent=1, allow_nan=False, ensure_ascii=False)
    write_atomically(path, text.encode())


def read_bounded(path: Path) -> bytes:
    """Reads a file that is parsed as a whole.

    Raises:
        GantuneError: It is no plain file, or larger than any that gantune writes.
    """
    if path.exists() and not path.is_file():
        raise GantuneError(f"{path} is damaged: it is no plain file")
    if path.stat().st_size > MAX_BYTES:
        raise GantuneError(f"{path} is damaged: it is larger than {MAX_BYTES:,} bytes")
    return path.read_bytes()


def read_json(path: Path) -> Any:
    """Reads JSON.

    Raises:
        GantuneError: The file is damaged.
    """
    data = read_bounded(path)
    try:
        return json.loads(data.decode())
    except ValueError as error:
        raise GantuneError(f"{path} is damaged: {error}") from None
    except RecursionError:
        raise GantuneError(f"{path} is damaged: it is nested too deep") from None
