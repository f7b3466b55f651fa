"""A store that does not answer, or answers with errors, is asked again."""

import time
from collections.abc import Callable
from typing import TypeVar

_T = TypeVar("_T")

PATIENCE_S = 60.0
"""For so long a store that does not answer, or answers with errors, is tried again."""


def patiently(do: Callable[[], _T]) -> _T:
    """Does something with a store, again and again while it fails, for :data:`PATIENCE_S`.

    Raises:
        OSError: It fails to the end; a file that is not there is said at once.
    """
    until, wait = time.monotonic() + PATIENCE_S, 0.25
    while True:
        try:
            return do()
        except FileNotFoundError:
            raise
        except OSError:
            if time.monotonic() + wait > until:
                raise
        time.sleep(wait)
        wait = min(2 * wait, 8.0)
