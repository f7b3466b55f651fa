"""Extensions: files of a user that add parts by name.

An extension travels as its text: a run keeps it, workers on other machines get it with each trial.
It runs where trials are checked or trained, never where results are opened.
"""

import hashlib
import sys
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from types import ModuleType
from typing import Annotated

from pydantic import AfterValidator, Field, ValidationError, ValidationInfo

from gantune.errors import UsageError
from gantune.ownership import refuse_of_others, refuse_of_store
from gantune.parts.base import Options
from gantune.parts.foreign import EXTRA_METRICS, EXTRAS, UNLOADED, Extra, ExtraMetric

METRIC = "metric"

MAX_BYTES = 500_000
"""Of a file: its text has to fit into the study file that a run keeps."""

NAME = r"[^/\x00-\x1f]{1,255}"

_running: ContextVar[str] = ContextVar("the extension that is being run")


class Extension(Options):
    """One file.

    Attributes:
        name: Of the file.
        text: Its content.
    """

    name: Annotated[str, Field(pattern=f"^{NAME}$")]
    text: Annotated[str, Field(max_length=MAX_BYTES)]

    @property
    def source(self) -> str:
        """Names the exact content."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:16]


def read_extension(path: Path, *, trust: bool = False) -> Extension:
    """Reads a file.

    Args:
        path: The file.
        trust: Whether it may be another user's.

    Raises:
        UsageError: It cannot be read, is no text or too long for one, or is another user's.
    """
    if not trust:
        refuse_of_others(path)
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_BYTES + 1)
        text = data.decode()
    except (OSError, ValueError) as error:
        raise UsageError(f"extensions: {path} cannot be read: {error}") from None
    if len(data) > MAX_BYTES:
        raise UsageError(f"extensions: {path} is larger than {MAX_BYTES:,} bytes")
    try:
        return Extension(name=path.name, text=text)
    except ValidationError:
        raise UsageError(f"extensions: {path.name!r} is no name of an extension") from None


def activate(extension: Extension) -> None:
    """Makes an extension's parts known by name; its file is run once per process.

    Raises:
        UsageError: It fails, or a name of its parts is taken.
    """
    source = extension.source
    if source not in _added:
        with _run(extension):
            before = _parts()
            try:
                _execute(extension)
            except UsageError:
                _install(before)
                raise
        _added[source] = {place: part for place, part in _parts().items() if part.source == source}
    if not _added[source]:
        raise UsageError(f"extensions: {extension.name} adds no part: see gantune.extend")
    # Another version of the file may have taken the names meanwhile.
    _install(_parts() | _added[source])


def activate_kept(
    extensions: Iterable[Extension], file: Path, store: str | None, *, trust: bool
) -> None:
    """Activates extensions whose text a run keeps.

    Args:
        extensions: Of its study.
        file: The run's study file.
        store: The URI of a run that is in a store, whose file here is only a copy.
        trust: Whether it may be another user's, or a store's.

    Raises:
        UsageError: It is another user's or a store's, or an extension fails.
    """
    for extension in extensions:
        if not trust and store is not None:
            refuse_of_store(store)
        if not trust:
            refuse_of_others(file)
        activate(extension)


Parts = dict[tuple[str, str], Extra | ExtraMetric]

_added: dict[str, Parts] = {}
"""What each extension that was run has added."""


def _parts() -> Parts:
    parts: Parts = {
        (k, name): extra for k, found in EXTRAS.items() for name, extra in found.items()
    }
    return parts | {(METRIC, name): metric for name, metric in EXTRA_METRICS.items()}


def _install(parts: Parts) -> None:
    for kind in EXTRAS:
        EXTRAS[kind].clear()
    EXTRA_METRICS.clear()
    for (kind, name), part in parts.items():
        if isinstance(part, ExtraMetric):
            EXTRA_METRICS[name] = part
        else:
            EXTRAS[kind][name] = part


def _execute(extension: Extension) -> None:
    module = ModuleType(f"gantune_extension_{extension.source}")
    sys.modules[module.__name__] = module
    try:
        exec(compile(extension.text, extension.name, "exec"), module.__dict__)
    except UsageError:
        del sys.modules[module.__name__]
        raise
    except Exception as error:  # noqa: BLE001 - whatever a user's file raises is its message
        del sys.modules[module.__name__]
        message = f"{type(error).__name__}: {error}"
        line = _line(error, extension.name)
        raise UsageError(f"extensions: {extension.name} fails at line {line}: {message}") from None


def _line(error: Exception, name: str) -> int | None:
    """The line of the extension's own file that an error comes from."""
    if isinstance(error, SyntaxError) and error.filename == name:
        return error.lineno
    frames = traceback.extract_tb(error.__traceback__)
    return next((frame.lineno for frame in reversed(frames) if frame.filename == name), None)


def running_source() -> str:
    """Hash of the extension that is being run.

    Raises:
        UsageError: None is: its parts would not reach other processes.
    """
    try:
        return _running.get()
    except LookupError:
        message = "gantune.extend is for files that a study names under extensions"
        raise UsageError(message) from None


@contextmanager
def _run(extension: Extension) -> Iterator[None]:
    token = _running.set(extension.source)
    try:
        yield
    finally:
        _running.reset(token)


def _activated(extensions: tuple[Extension, ...], info: ValidationInfo) -> tuple[Extension, ...]:
    if info.context != UNLOADED:
        for extension in extensions:
            activate(extension)
    return extensions


Extensions = Annotated[tuple[Extension, ...], Field(strict=False), AfterValidator(_activated)]
"""Extensions that are run when they are validated, unless the reader only reads."""
