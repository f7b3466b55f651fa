"""What a run was made with: versions, features, sessions, status."""

import platform
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ValidationError

from gantune.errors import GantuneError
from gantune.storage import read_json, write_json

FORMAT = 1
"""Raised when a reader of an older version could not open the run."""

PACKAGES = ("gantune", "torch", "ray", "optuna", "numpy")

RunStatus = Literal["running", "finished", "stopped", "interrupted", "failed"]


class _Features(BaseModel):
    name: str
    hash: str
    accuracy: float | None
    samples: int


class _WarmStart(BaseModel):
    run: str
    trials: int
    left_out: int
    reason: str | None


def _of_a_zone(text: str) -> str:
    if datetime.fromisoformat(text).tzinfo is None:
        raise ValueError("a time without its zone")
    return text


_Moment = Annotated[str, AfterValidator(_of_a_zone)]


class _Session(BaseModel):
    started_at: _Moment
    ended_at: _Moment | None = None
    versions: dict[str, str | None] = {}
    features: _Features | None = None
    samples: int | None = None
    extensions: dict[str, str] = {}
    study: dict[str, Any] = {}
    warm_start: _WarmStart | None = None


class _Info(BaseModel):
    """What readers of ``run.json`` count on; versions before and after know more, or less."""

    format: int = 0
    status: str = "interrupted"
    created_at: datetime | None = None
    sessions: list[_Session] = []


def now() -> str:
    """This moment, UTC, ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def begin_session(path: Path, study_file: Path | None, facts: dict[str, Any]) -> None:
    """Notes in ``run.json`` that a process begins to drive the run.

    Args:
        path: The run's ``run.json``; made if it is not there.
        study_file: Where the study came from, to find its git commit.
        facts: Features, device, slots: what this session runs with.
    """
    old: dict[str, Any] = {"format": FORMAT, "created_at": now()}
    if path.exists():
        old = read_json(path)
    session: dict[str, Any] = {
        "started_at": now(),
        "versions": {package: _version(package) for package in PACKAGES},
        "python": platform.python_version(),
        "host": platform.node(),
        "git_commit": _git_commit(study_file.parent) if study_file else None,
        **facts,
    }
    before = [ended(earlier, path.parent) for earlier in old.get("sessions", [])]
    sessions = [*before, session]
    write_json(path, {**old, "status": "running", "sessions": sessions})


def ended(session: dict[str, Any], root: Path) -> dict[str, Any]:
    """A session with its end: where it was killed, the last that it wrote."""
    tables = [path for name in ("epochs", "trials") for path in (root / name).glob("*")]
    latest = max((path.stat().st_mtime for path in tables), default=None)
    end = datetime.fromtimestamp(latest, UTC).isoformat() if latest else session["started_at"]
    return {"ended_at": end, **session}


def end_session(path: Path, status: RunStatus) -> None:
    """Notes how the session ended."""
    info = read_json(path)
    info["sessions"][-1]["ended_at"] = now()
    write_json(path, {**info, "status": status})


def describe_warm_start(facts: Mapping[str, Any]) -> str:
    """What a session notes of the earlier run whose trials its sampler knows, in a line."""
    taken = f"{facts['trials']} trials of {facts['run']}"
    left_out = f"; {facts['left_out']} left out, {facts['reason']}" if facts["left_out"] else ""
    return f"warm start: {taken}{left_out}"


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _git_commit(folder: Path) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), "rev-parse", "HEAD"],
            capture_output=True,
            text=True,
            timeout=5,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def read_info(path: Path) -> dict[str, Any]:
    """Reads ``run.json``; empty where the run was killed before it had one.

    Raises:
        GantuneError: It is damaged, or of a newer version than this one can read.
    """
    if not path.exists():
        return {}
    info = read_json(path)
    if not isinstance(info, dict):
        raise GantuneError(f"{path} is damaged: it holds no mapping")
    try:
        known = _Info.model_validate(info)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise GantuneError(f"{path} is damaged: {where}: {first['msg']}") from None
    if known.format > FORMAT:
        raise GantuneError(f"{path.parent} was written by a newer gantune; update to open it")
    return info
