"""Ray Jobs: a study sent to a cluster's head, run there, its log and its report brought back."""

import asyncio
import base64
import binascii
import io
import json
import logging
import os
import shlex
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPException
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import urlopen

from gantune.errors import GantuneError, RunError, UsageError
from gantune.tuning.cluster import keep_token_private

ANSWER_S = 20.0
POLL_S = 0.5

AGENT_S = 90.0
"""A head answers before its job agent has begun: how long that is waited for."""

MARK = "=== report, zipped, in base64 ==="

_NO_AGENT = "No available agent"

_ELSEWHERE = ("RAY_API_SERVER_ADDRESS", "RAY_ADDRESS")
"""To Ray's client they count for more than the address that it is given."""


class JobEnd(NamedTuple):
    """How a job ended.

    Attributes:
        code: Exit code of its command; 130 where somebody stopped it, 1 where it never began.
        message: What Ray says of it.
    """

    code: int
    message: str


class Head:
    """The job server of a cluster's head."""

    def __init__(self, address: str) -> None:
        """Connects.

        Args:
            address: Of the dashboard: ``http://HEAD:8265``.

        Raises:
            UsageError: Nothing answers there in half a minute, it is no such address, the token is
                missing or wrong, or Ray's job client is not installed here.
        """
        self.address = address.rstrip("/")
        keep_token_private()
        check_head(self.address)
        for name in _ELSEWHERE:
            os.environ.pop(name, None)
        from ray.job_submission import JobSubmissionClient

        for handler in logging.getLogger("ray").handlers:
            handler.setLevel(logging.WARNING)
        with self._errors():
            self._client = JobSubmissionClient(self.address)

    def submit(self, command: str, folder: Path | None = None) -> str:
        """Starts a job and returns its id.

        Args:
            command: A line of shell.
            folder: What is uploaded: the command's working directory on the head.

        Raises:
            UsageError: The head refuses it.
        """
        environment = {"working_dir": str(folder)} if folder else {}
        until = time.monotonic() + AGENT_S
        with self._errors():
            while True:
                try:
                    job = self._client.submit_job(entrypoint=command, runtime_env=environment)
                    return str(job)
                except RuntimeError as error:
                    if _NO_AGENT not in str(error) or time.monotonic() > until:
                        raise
                time.sleep(POLL_S)

    def follow(self, job: str, write: Callable[[str], None]) -> JobEnd:
        """Hands out a job's log as it grows, from its beginning, until the job has ended.

        Raises:
            RunError: The connection broke; the job goes on.
        """
        import aiohttp

        async def tail() -> None:
            async for text in self._client.tail_job_logs(job):
                write(text)

        try:
            asyncio.run(tail())
            return self.wait(job)
        except (RuntimeError, OSError, aiohttp.ClientError) as error:
            raise RunError(f"{self.address} is lost from sight: {error}") from None

    def wait(self, job: str) -> JobEnd:
        """Waits for a job's end."""
        while not (details := self._client.get_job_info(job)).status.is_terminal():
            time.sleep(POLL_S)
        if details.status == "STOPPED":
            return JobEnd(130, "somebody stopped the job")
        code = 0 if details.status == "SUCCEEDED" else details.driver_exit_code or 1
        return JobEnd(code, details.message or "")

    def fetch_report(self, root: str, out: Path) -> Path:
        """Lets the cluster write a run's report and brings it here.

        Args:
            root: The run's directory, as the head sees it.
            out: The folder to write; files of an earlier report in it are written over.

        Returns:
            The page.

        Raises:
            GantuneError: It cannot be made, or does not come through.
        """
        with self._errors():
            job = self.submit(report_command(root))
            end = self.wait(job)
            log = self._client.get_job_logs(job)
        if end.code:
            reason = log.strip().splitlines()[-1:] or [end.message]
            raise GantuneError(reason[0].removeprefix("error: "))
        unpack_report(log, out)
        return out / "index.html"

    @contextmanager
    def _errors(self) -> Iterator[None]:
        from ray.exceptions import AuthenticationError

        try:
            yield
        except AuthenticationError as error:
            raise UsageError(
                f"--address {self.address}: Ray asks for its token, and this machine has none or "
                "another: copy ~/.ray/auth_token from the head, or set RAY_AUTH_TOKEN "
                f"({str(error).splitlines()[0]})"
            ) from None
        except RuntimeError as error:
            raise UsageError(f"--address {self.address}: {error}") from None


def check_head(address: str) -> None:
    """Raises UsageError where no job server answers at an address; never waits for long."""
    if address.startswith("ray://"):
        raise UsageError(
            f"--address {address}: jobs go to the head's dashboard, not to Ray's client server: "
            "http://HEAD:8265"
        )
    if not _is_url(address):
        raise UsageError(f"--address {address}: write http://HEAD:8265, the head's dashboard")
    if find_spec("aiohttp") is None:
        raise UsageError("Ray's job client is not installed: pip install 'gantune[cluster]'")
    try:
        with urlopen(f"{address}/api/version", timeout=ANSWER_S) as answer:
            json.loads(answer.read(100_000))["ray_version"]
    except HTTPError as error:
        if error.code not in (401, 403):
            raise UsageError(f"--address {address}: {_NO_RAY} ({error})") from None
        # Only to a head that asks for it: it is read when ray is imported.
        os.environ["RAY_AUTH_MODE"] = "token"
    except OSError as error:
        reason = getattr(error, "reason", error)
        raise UsageError(
            f"--address {address}: nothing answers there: {reason}. Is the head running, with "
            "ray[default] installed (without it there is no job server)? From another machine its "
            "port wants a tunnel: ssh -L 8265:localhost:8265 HEAD, then http://localhost:8265"
        ) from None
    except (ValueError, KeyError, TypeError, HTTPException):
        raise UsageError(f"--address {address}: {_NO_RAY}") from None


_NO_RAY = "what answers there is no Ray dashboard; that of the head is on port 8265"


def _is_url(address: str) -> bool:
    try:
        parts = urlsplit(address)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def report_command(root: str) -> str:
    """The line of shell that prints a run's report: Python is all that it needs."""
    make = shlex.join(["python", "-m", "gantune", "report", root, "--out"])
    return (
        f'folder=$(mktemp -d) && trap \'rm -rf "$folder"\' EXIT && {make} "$folder/report" && '
        'python -m zipfile -c "$folder/report.zip" "$folder/report/" && '
        f"echo '{MARK}' && python -m base64 -e \"$folder/report.zip\""
    )


def unpack_report(log: str, out: Path) -> None:
    """Writes the files of the report that a job has printed.

    Raises:
        GantuneError: It is not there, or damaged.
    """
    text = log.rpartition(f"{MARK}\n")[2]
    try:
        with zipfile.ZipFile(io.BytesIO(base64.b64decode(text))) as packed:
            for member in packed.infolist():
                member.filename = member.filename.removeprefix("report/")
                if member.filename:
                    packed.extract(member, out)
    except (binascii.Error, zipfile.BadZipFile) as error:
        raise GantuneError(f"the report did not come through: {error}") from None
