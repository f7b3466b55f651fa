"""Whose files hold the code that is about to be run."""

import os
import pwd
from pathlib import Path

from gantune.errors import UsageError

ROOT = 0
"""Who can run anything as anybody: files of theirs are no danger that was not there before."""


def refuse_of_others(path: Path) -> None:
    """Refuses code from a file that another user can write.

    Asked are the file and all folders on the way to it, also on the ways of symbolic links: the
    owner of a folder can put another file, or folder, in the place of one in it. Others that may
    write into ``/tmp`` cannot, as it is root's and sticky.

    Args:
        path: The file.

    Raises:
        UsageError: One of them is owned by neither this process's user nor root.
    """
    try:
        path.stat()
    except OSError:
        return  # who reads the file says what is wrong with it
    for place in _on_the_way(path):
        owner = place.lstat().st_uid
        if owner not in (os.geteuid(), ROOT):
            raise UsageError(
                f"{path}: the study runs code of its extensions, and {place} is owned by "
                f"{_name(owner)}; read it, then say --trust (trust=True in Python) to run it"
            )


def refuse_of_store(uri: str) -> None:
    """Refuses code from a store, where whose a file is cannot be asked.

    Args:
        uri: The run's.

    Raises:
        UsageError: Always.
    """
    raise UsageError(
        f"{uri} has extensions: code, that whoever can write to the store has put there; if that "
        "is you, say --trust (trust=True in Python)"
    )


def _on_the_way(path: Path) -> list[Path]:
    """Whatever decides which file it is that a path leads to, the nearest to it first."""
    found, left = dict[Path, None](), [path.absolute()]
    while left:
        whole = left.pop()
        for place in (whole, *whole.parents):
            if place not in found:
                found[place] = None
                if place.is_symlink():
                    left.append(place.parent / os.readlink(place))
    return list(found)


def _name(owner: int) -> str:
    try:
        return f"{pwd.getpwuid(owner).pw_name} (uid {owner})"
    except KeyError:
        return f"uid {owner}"
