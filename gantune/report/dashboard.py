"""optuna-dashboard on a copy of a run's journal."""

import os
import shutil
import signal
import tempfile
from collections.abc import Container, Iterable
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING
from wsgiref.simple_server import make_server
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from gantune.analysis.run import Run
from gantune.errors import GantuneError, JournalError, UsageError
from gantune.paths import RunPaths

if TYPE_CHECKING:
    from optuna.storages import JournalStorage

AGAIN = "`gantune resume` makes another from the tables"


def serve_copy(run: Run, host: str, port: int) -> None:
    """Serves until it is interrupted; what is clicked there does not change the run.

    Args:
        run: With a journal.
        host: The address to listen on.
        port: The port.

    Raises:
        UsageError: The port is taken.
        GantuneError: The journal is damaged.
    """
    from optuna_dashboard import wsgi

    with tempfile.TemporaryDirectory() as folder:
        signal.signal(signal.SIGTERM, partial(_end, folder))
        storage = copied_journal(run, Path(folder))
        try:
            server = make_server(host, port, for_names(wsgi(storage), {host, "localhost"}))
        except OSError as error:
            raise UsageError(f"{host}:{port} cannot be listened on: {error}") from error
        with server, suppress(KeyboardInterrupt):
            server.serve_forever()


def for_names(application: WSGIApplication, names: Container[str]) -> WSGIApplication:
    """An application that answers only whom it is called by these names, at any port.

    A web page whose own name is made to lead to this machine could otherwise read what it serves.
    """

    def answer(environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        if environ.get("HTTP_HOST", "").partition(":")[0].lower() in names:
            return application(environ, start)
        start("403 Forbidden", [("Content-Type", "text/plain")])
        return [b"not by this name\n"]

    return answer


def copied_journal(run: Run, folder: Path) -> "JournalStorage":
    """Optuna's storage on a copy of a run's journal; its torn last line, if any, is left out.

    Raises:
        GantuneError: The journal is damaged.
    """
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    from gantune.tuning.agreement import refuse_larger
    from gantune.tuning.journal import UNREADABLE

    journal = RunPaths(run.root).journal
    try:
        refuse_larger(journal, run.study, len(run.trials), len(run.epochs))
    except JournalError as error:
        raise GantuneError(f"{error}; {AGAIN}") from None
    copy, data = folder / journal.name, journal.read_bytes()
    copy.write_bytes(data[: data.rfind(b"\n") + 1])
    try:
        return JournalStorage(JournalFileBackend(str(copy)))
    except UNREADABLE as error:
        raise GantuneError(
            f"{journal} is damaged: Optuna cannot read it: {error!r}; {AGAIN}"
        ) from None


def _end(folder: str, number: int, frame: FrameType | None) -> None:
    """The copy goes with the server. An exception would be lost in the middle of a request."""
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(0)
