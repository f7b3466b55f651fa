"""optuna-dashboard on a copy of a run's journal."""

import os
import shutil
import signal
import tempfile
from functools import partial
from pathlib import Path
from types import FrameType

from gantune.errors import UsageError


def serve_copy(journal: Path, host: str, port: int) -> None:
    """Serves until it is interrupted; what is clicked there does not change the run.

    Args:
        journal: The run's; one that goes on may end in a torn line.
        host: The address to listen on.
        port: The port.

    Raises:
        UsageError: The port is taken.
    """
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend
    from optuna_dashboard import run_server

    with tempfile.TemporaryDirectory() as folder:
        signal.signal(signal.SIGTERM, partial(_end, folder))
        copy, data = Path(folder) / journal.name, journal.read_bytes()
        copy.write_bytes(data[: data.rfind(b"\n") + 1])
        try:
            run_server(JournalStorage(JournalFileBackend(str(copy))), host=host, port=port)
        except OSError as error:
            raise UsageError(f"{host}:{port} cannot be listened on: {error}") from error


def _end(folder: str, number: int, frame: FrameType | None) -> None:
    """The copy goes with the server. An exception would be lost in the middle of a request."""
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(0)
