"""A Ray cluster that somebody else has started: found in time, or refused with what to do."""

import os
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from gantune.errors import UsageError
from gantune.kept import uri_of
from gantune.paths import RunPaths
from gantune.tuning.cluster import keep_token_private, ray_environment

if TYPE_CHECKING:
    import ray

AUTO = "auto"

CONNECT_S, HEALTH_S = 5.0, 20.0
"""Seconds for a connection, then for Ray's answer: together under half a minute."""


@contextmanager
def joined_ray(address: str) -> Iterator[None]:
    """Joins a cluster for as long as the context lasts.

    Args:
        address: ``HOST:PORT`` of its head, or ``auto`` for one that runs on this machine.

    Raises:
        UsageError: Nothing answers there in half a minute, or it is no such address.
    """
    with ray_environment():
        keep_token_private()
        check_answers(address)
        import ray

        ray.init(
            address=address,
            include_dashboard=False,
            log_to_driver=False,
            logging_level="ERROR",
        )
        try:
            yield
        finally:
            ray.shutdown()


def check_answers(address: str) -> None:
    """Raises UsageError where no Ray answers at an address.

    ``ray.init`` itself waits for minutes, and then ends the process. For it, ``auto`` is
    ``RAY_ADDRESS`` where that is set.
    """
    told = os.environ.get("RAY_ADDRESS", "") if address == AUTO else ""
    said = f"--address {address}" + (f" (RAY_ADDRESS={told})" if told else "")
    address = told or address
    if address.startswith("http"):
        raise UsageError(f"{said}: that is where jobs go: gantune submit STUDY --address {address}")
    if "://" in address:
        raise UsageError(
            f"{said}: a client's connection would leave the run's tables on the cluster's head; "
            "log in there and give --address auto, or submit it as a job: gantune submit STUDY "
            "--address http://HEAD:8265 --runs-dir /shared/runs"
        )
    if address != AUTO:
        _check_port(address, said)
    refusal = _refusal(address, said)
    if _asks_for_token(refusal) and "RAY_AUTH_MODE" not in os.environ:
        # Unless it is told to, Ray's client keeps the token to itself.
        refusal = _refusal(address, said, RAY_AUTH_MODE="token")
        if refusal is None:
            os.environ["RAY_AUTH_MODE"] = "token"  # read when ray is imported
    if _asks_for_token(refusal):
        raise UsageError(
            f"{said}: Ray asks for its token, and this machine has none or another: copy "
            "~/.ray/auth_token from the head, or set RAY_AUTH_TOKEN"
        )
    if refusal is not None:
        raise UsageError(f"{said}: no Ray cluster answers there; is it running?")


def _refusal(address: str, said: str, **variables: str) -> str | None:
    """What Ray's own health check says that is wrong; None: nothing is."""
    command = [sys.executable, "-m", "ray.scripts.scripts", "health-check"]
    command += [] if address == AUTO else ["--address", address]
    environment = {**os.environ, **variables}
    try:
        done = subprocess.run(
            command, timeout=HEALTH_S, capture_output=True, text=True, env=environment
        )
    except subprocess.TimeoutExpired:
        raise UsageError(f"{said}: no Ray cluster answers there") from None
    return done.stderr if done.returncode else None


def _asks_for_token(refusal: str | None) -> bool:
    return refusal is not None and "token" in refusal.lower()


def _check_port(address: str, said: str) -> None:
    host, colon, port = address.rpartition(":")
    if not (host and colon and port.isdigit()):
        raise UsageError(f"{said}: write auto, or HOST:PORT of the head (port 6379)")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_S).close()
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageError(f"{said}: nothing answers there: {reason}") from None


def check_shared(paths: RunPaths) -> None:
    """Raises UsageError where a node of the cluster does not see what all of them have to.

    The run's directory, or the folder that is its store; object stores are seen from everywhere.
    """
    uri = uri_of(paths.storage)
    if uri is None:
        _check_seen(paths.root.resolve(), "--runs-dir")
    elif uri.startswith("file:"):
        folder = Path(unquote(urlsplit(uri).path))
        folder.mkdir(parents=True, exist_ok=True)
        _check_seen(folder, "--storage")


def _check_seen(root: Path, option: str) -> None:
    """Raises UsageError where a node of the cluster does not see a directory.

    A trial goes on from its ``last`` on whatever node it is put on next: all of them have to see
    the same files. They look for one that was never there before: a directory of the same name on
    a node's own disk is not taken for it.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    nodes = [node for node in ray.nodes() if node["Alive"]]
    if len(nodes) == 1:
        return  # this one
    sees = ray.remote(num_cpus=0)(_sees).options
    sign = root / f".sign-{uuid.uuid4().hex}.tmp"
    sign.touch()
    try:
        strategies = [NodeAffinitySchedulingStrategy(node["NodeID"], soft=False) for node in nodes]
        asked = [sees(scheduling_strategy=s).remote(str(sign)) for s in strategies]
        answers = [_answer(task) for task in asked]
    finally:
        sign.unlink()
    # Nodes in containers can have one host name.
    pairs = zip(nodes, answers, strict=True)
    blind = sorted({node["NodeManagerHostname"] for node, sees_it in pairs if not sees_it})
    if blind:
        raise UsageError(
            f"{root} is not there on {', '.join(blind)}: on several nodes a run needs a directory "
            f"that all of them see (NFS or the like): {option} /shared/runs"
        )


def _answer(task: "ray.ObjectRef[bool]") -> bool:
    """What a node says; one that has died since holds no trial, and is not asked again."""
    import ray
    from ray.exceptions import NodeDiedError, TaskUnschedulableError, WorkerCrashedError

    try:
        return bool(ray.get(task))
    except (NodeDiedError, TaskUnschedulableError, WorkerCrashedError):
        return True


def _sees(path: str) -> bool:
    return os.path.isfile(path)
