"""optuna-dashboard on a copy of a run's journal."""

import tempfile
from pathlib import Path

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
        copy, data = Path(folder) / journal.name, journal.read_bytes()
        copy.write_bytes(data[: data.rfind(b"\n") + 1])
        try:
            run_server(JournalStorage(JournalFileBackend(str(copy))), host=host, port=port)
        except OSError as error:
            raise UsageError(f"{host}:{port} cannot be listened on: {error}") from error
