"""The studies that come with gantune: files whose first line is the question that they ask."""

import difflib
from pathlib import Path
from typing import NamedTuple

from gantune.document import read_document
from gantune.errors import UsageError
from gantune.storage import write_atomically

FOLDER = "search_spaces"


class Shipped(NamedTuple):
    """A study that comes with gantune.

    Attributes:
        name: Its file's name, without the ending.
        question: What it asks.
        path: Its file.
    """

    name: str
    question: str
    path: Path


def shipped_studies() -> list[Shipped]:
    """Every shipped study by name, those of sub-folders last.

    Raises:
        UsageError: This installation has none.
    """
    folder = _folder()
    paths = sorted(folder.rglob("*.yaml"), key=lambda path: (path.parent != folder, path))
    return [Shipped(path.stem, _question(path), path) for path in paths]


def _folder() -> Path:
    package = Path(__file__).parent
    # Within an installed package; beside it in a checkout, which an editable install points to.
    for folder in (package / FOLDER, package.parent / FOLDER):
        if folder.is_dir():
            return folder
    raise UsageError(f"this installation of gantune has no {FOLDER}; install it again")


def _question(path: Path) -> str:
    with open(path, encoding="utf-8") as file:
        return file.readline().removeprefix("#").strip()


def find_shipped(name: str) -> Shipped:
    """The shipped study of a name.

    Raises:
        UsageError: There is none; names the nearest.
    """
    known = {study.name: study for study in shipped_studies()}
    if name in known:
        return known[name]
    nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
    hint = f"did you mean {nearest[0]!r}?" if nearest else "`gantune init` lists them"
    raise UsageError(f"{name}: no such shipped study; {hint}")


def write_shipped(study: Shipped, out: Path, *, force: bool) -> list[Path]:
    """Writes a shipped study, byte for byte, and the extensions that it names beside it.

    Args:
        study: From :func:`find_shipped`.
        out: The study file to write.
        force: Whether files that are already there are written over.

    Returns:
        What was written: the study and its extensions.

    Raises:
        UsageError: A file with another content is there; nothing is written then.
    """
    files = {out: study.path.read_bytes()}
    document = read_document(study.path).value
    assert isinstance(document, dict), study.path
    extensions = document.get("extensions", [])
    assert isinstance(extensions, list), study.path
    for name in extensions:
        files[out.parent / str(name)] = (study.path.parent / str(name)).read_bytes()
    for path, data in files.items():
        # An extension that two studies share is no reason to ask.
        same = path != out and path.is_file() and path.read_bytes() == data
        if path.exists() and not force and not same:
            raise UsageError(f"{path} exists already; --force writes over it")
    for path, data in files.items():
        write_atomically(path, data)
    return list(files)
