"""Whose files hold the code that is about to be run."""

import os
import pwd
from pathlib import Path

from gantune.errors import UsageError

ROOT = 0
"""Who can run anything as anybody: files of theirs are no danger that was not there before."""


def refuse_of_others(path: Path) -> None:
    """Refuses code from a file that another user can write.

    Asked are the file, and the folder that it is in: the owner of a folder can put another file in
    the file's place. Of a symbolic link also both of what it leads to.

    Args:
        path: The file.

    Raises:
        UsageError: One of them is owned by neither this process's user nor root.
    """
    real = Path(os.path.realpath(path))
    for place in dict.fromkeys([path, path.absolute().parent, real, real.parent]):
        try:
            owner = place.lstat().st_uid
        except OSError:
            continue  # who reads the file says what is wrong with it
        if owner not in (os.geteuid(), ROOT):
            raise UsageError(
                f"{path}: the study runs code of its extensions, and {place} is owned by "
                f"{_name(owner)}; read it, then say --trust (trust=True in Python) to run it"
            )


def _name(owner: int) -> str:
    try:
        return f"{pwd.getpwuid(owner).pw_name} (uid {owner})"
    except KeyError:
        return f"uid {owner}"
