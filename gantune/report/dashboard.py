"""optuna-dashboard on a copy of a run's journal."""

import os
import shutil
import signal
import tempfile
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from gantune.analysis.run import Run
from gantune.errors import GantuneError, UsageError
from gantune.paths import RunPaths

if TYPE_CHECKING:
    from optuna.storages import JournalStorage


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
    from optuna_dashboard import run_server

    with tempfile.TemporaryDirectory() as folder:
        signal.signal(signal.SIGTERM, partial(_end, folder))
        storage = copied_journal(run, Path(folder))
        try:
            run_server(storage, host=host, port=port)
        except OSError as error:
            raise UsageError(f"{host}:{port} cannot be listened on: {error}") from error


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
    refuse_larger(journal, run.study, len(run.trials), len(run.epochs))
    copy, data = folder / journal.name, journal.read_bytes()
    copy.write_bytes(data[: data.rfind(b"\n") + 1])
    try:
        return JournalStorage(JournalFileBackend(str(copy)))
    except UNREADABLE as error:
        raise GantuneError(f"{journal} is damaged: Optuna cannot read it: {error!r}") from None


def _end(folder: str, number: int, frame: FrameType | None) -> None:
    """The copy goes with the server. An exception would be lost in the middle of a request."""
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(0)
