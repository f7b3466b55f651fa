"""One process drives a run at a time."""

import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from gantune.errors import UsageError

MAX_BYTES = 1000
"""Of a lock's text: a host's name and a number."""


@contextmanager
def hold_lock(path: Path) -> Iterator[None]:
    """Holds a run's lock for as long as the context lasts; the kernel frees it if we are killed.

    Raises:
        UsageError: Another process drives the run, or its directory cannot be written to.
    """
    try:
        opened = open(path, "a+", encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror or error}") from None
    with opened as file:
        if not _take(file):
            holder = _holder(path)
            message = f"{path.parent} is being run by {holder}; wait for it, or stop it with "
            raise UsageError(f"{message}`gantune stop {path.parent}`")
        file.truncate(0)
        file.write(json.dumps({"host": socket.gethostname(), "pid": os.getpid()}))
        file.flush()
        yield


def _take(file: TextIO) -> bool:
    for _ in range(10):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.05)  # a reader that looks whether the run is live holds it for a moment
        else:
            return True
    return False


def _holder(path: Path) -> str:
    try:
        with open(path, "rb") as file:
            who = json.loads(file.read(MAX_BYTES))
        return f"process {who['pid']} on {who['host']}"
    except (ValueError, KeyError, TypeError, RecursionError):
        return "another process"


def is_held(path: Path) -> bool:
    """Whether a process drives the run now."""
    if not path.is_file():
        return False  # nobody holds a pipe, and opening one would wait for ever
    try:
        with open(path, "rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
    except FileNotFoundError:
        pass
    return False
