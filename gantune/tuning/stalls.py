"""Ends a worker that hangs, and leaves a note of where it did."""

import faulthandler
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gantune.errors import StorageError


@contextmanager
def ends_when_stalled(seconds: float | None, note: Path) -> Iterator[None]:
    """Ends this process at once, with no chance to object, if the context takes too long.

    The watch is a thread of faulthandler's, which runs no Python: it also ends a call that hangs
    while it holds the interpreter's lock. Ray then sees a dead worker, and its slot is free.

    Args:
        seconds: How long it may take; None: for ever.
        note: Holds the stacks of all threads once the process was ended; removed otherwise.

    Raises:
        StorageError: The note cannot be opened.
    """
    if seconds is None:
        yield
        return
    try:
        note.parent.mkdir(parents=True, exist_ok=True)
        file = open(note, "w", encoding="utf-8")
    except OSError as error:
        raise StorageError(str(error)) from error
    with file:
        faulthandler.dump_traceback_later(seconds, file=file, exit=True)
        try:
            yield
        finally:
            faulthandler.cancel_dump_traceback_later()
            note.unlink(missing_ok=True)


def is_stalled(note: Path) -> bool:
    """Whether the process that left a note was ended for hanging."""
    return note.is_file() and note.stat().st_size > 0
