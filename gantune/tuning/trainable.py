"""Ray Tune's trainable: talks to a host, one report for all the epochs since the last."""

import traceback
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from ray import tune

from gantune.errors import DeviceMemoryError, StorageError
from gantune.storage import write_atomically
from gantune.trial import REPORT_S, TrialSpec
from gantune.trialsync import placed, send_file
from gantune.tuning.stalls import ends_when_stalled

if TYPE_CHECKING:
    from gantune.engine.materials import Materials
    from gantune.host import Progress


class _KeepsTraceback:
    """Leaves the traceback of an exception that passes through in a file of its trial."""

    def __init__(self, spec: TrialSpec, path: Path) -> None:
        self._spec, self._path = spec, path

    def __enter__(self) -> None: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None and not isinstance(error, StorageError):
            text = "".join(traceback.format_exception(error))
            write_atomically(self._path, text.encode())
            send_file(self._spec, self._path)


class StudyTrainable(tune.Trainable):
    """One trial after another in one actor."""

    _handle: int | None

    def setup(self, config: dict[str, Any], materials: "Materials | None" = None) -> None:
        from gantune.host import Host  # torch is imported in the worker, not in the driver

        self._host = Host(materials)
        self._open(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        if self._handle is not None:
            self._host.close(self._handle)
        self._open(new_config)
        return True

    def cleanup(self) -> None:
        if self._handle is not None:
            self._host.close(self._handle)
            self._handle = None

    def _open(self, config: dict[str, Any]) -> None:
        self._spec = placed(TrialSpec.model_validate_json(config["spec"]))
        self._handle = None
        self._epoch = 0

    def step(self) -> dict[str, Any]:
        from gantune.host import worker_name

        report = {"number": self._spec.number, "worker": worker_name()}
        try:
            with self._ends_when_stalled(), self._keeps_traceback():
                progress = self._advance()
        except StorageError as error:
            # The driver ends the session; as an exception it would be the trial that failed.
            return {**report, "records": [], "steps": [], "storage_error": str(error)}
        except DeviceMemoryError as error:
            # Taken up again the trial would need as much: it ends without another attempt.
            return {**report, "records": [], "steps": [], "gave_up": str(error)}
        self._epoch = progress.records[-1]["epoch"]
        return {
            **report,
            "records": progress.records,
            "steps": progress.steps,
            "notes": list(progress.notes),
            "training_iteration": self._epoch,
        }

    def _advance(self) -> "Progress":
        if self._handle is None:
            self._handle = self._host.open(self._spec)
            # What an earlier attempt left says nothing of this one.
            self._error.unlink(missing_ok=True)
        until = self._spec.next_stop(self._epoch)
        return self._host.advance(self._handle, until, REPORT_S)

    def _ends_when_stalled(self) -> AbstractContextManager[None]:
        note = Path(self._spec.folder) / "stalled.txt"
        return ends_when_stalled(self._spec.stall_timeout, note)

    def _keeps_traceback(self) -> _KeepsTraceback:
        return _KeepsTraceback(self._spec, self._error)

    @property
    def _error(self) -> Path:
        return Path(self._spec.folder) / "error.txt"
