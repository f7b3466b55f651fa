"""Ray, started for one run: on this machine only, quiet, with no more than it needs."""

import os
import secrets
import stat
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from gantune.errors import UsageError
from gantune.study import Resources, Study

# Makes local Ray processes bind to loopback; read when ray is imported.
_LOOPBACK = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"

_ENVIRONMENT = {
    _LOOPBACK: "0",
    # Tune's own result files, snapshots and output: the run directory has all that.
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "inf",
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    "TUNE_RESULT_BUFFER_LENGTH": "1",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    # Ctrl-C is ours to handle.
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DEDUP_LOGS": "0",
}


@contextmanager
def local_ray() -> Iterator[None]:
    """Starts Ray on this machine, listening on loopback only; uses a Ray that is already there.

    A Ray that was there before, and the environment's variables, are left as they were.
    """
    too_late = "ray" in sys.modules and _LOOPBACK not in os.environ
    with ray_environment(on_loopback=True):
        import ray

        if ray.is_initialized():
            yield
            return
        if too_late:
            warnings.warn(
                "ray was imported before gantune started it and listens on all interfaces; set "
                f"{_LOOPBACK}=0 before importing ray to keep it on this machine",
                stacklevel=2,
            )
        have_private_token()
        ray.init(
            address="local",
            num_cpus=_usable_cpus(),
            include_dashboard=False,
            log_to_driver=False,
            logging_level="ERROR",
            _node_ip_address="127.0.0.1",
        )
        try:
            yield
        finally:
            ray.shutdown()


def have_private_token() -> None:
    """Makes the token that Ray's processes know each other by, readable by its owner only.

    Ray itself makes it by the umask. Where it cannot be made, Ray says so.
    """
    if os.environ.get("RAY_AUTH_MODE", "token").lower() != "token" or _has_own_token():
        return
    path = _token()
    with suppress(OSError):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with suppress(FileExistsError):
            _make_token(path)
    keep_token_private()


def keep_token_private() -> None:
    """Closes a token that others can read; a cluster's is copied here by hand."""
    with suppress(OSError):
        if stat.S_IMODE(_token().stat().st_mode) & 0o077:
            _token().chmod(0o600)


def _token() -> Path:
    return Path.home() / ".ray" / "auth_token"


def _has_own_token() -> bool:
    return bool({"RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"} & set(os.environ))


def _make_token(path: Path) -> None:
    """Whole from the first moment on: another process may begin at the same time."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent)  # readable by its owner only
    try:
        with open(descriptor, "w") as file:
            file.write(secrets.token_hex(32))
        os.link(temporary, path)
    finally:
        os.unlink(temporary)


def _usable_cpus() -> int | None:
    """The CPUs that this process may use where it is bound to some; None: let Ray count."""
    if not hasattr(os, "sched_getaffinity"):
        return None
    usable = len(os.sched_getaffinity(0))
    return usable if usable < (os.cpu_count() or 1) else None


@contextmanager
def ray_environment(*, on_loopback: bool = False) -> Iterator[None]:
    """Sets what is not set already, for as long as the context lasts.

    Args:
        on_loopback: Whether Ray processes listen on this machine only.
    """
    names = set(_ENVIRONMENT) - (set() if on_loopback else {_LOOPBACK})
    added = {name: _ENVIRONMENT[name] for name in names if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        # What ray read when it was imported stays true of it for as long as we live.
        for name in set(added) - {_LOOPBACK}:
            os.environ.pop(name, None)


def count_slots(study: Study) -> int:
    """How many trials Ray can hold at once.

    Raises:
        UsageError: Not even one.
    """
    import ray

    total = ray.cluster_resources()
    cpus, gpus = total.get("CPU", 0.0), total.get("GPU", 0.0)
    if study.trial.device == "cuda" and not gpus:
        raise UsageError("device: cuda was asked for and this machine has no GPU that Ray can see")
    return slots_of(cpus, gpus, study.resources)


def slots_of(cpus: float, gpus: float, resources: Resources) -> int:
    """How many trials fit on so many CPUs and GPUs.

    A fraction of a GPU is a share of one: 0.4 fits twice on each, the rest stays free.

    Raises:
        UsageError: Not even one.
    """
    if resources.cpu > cpus or resources.gpu > gpus:
        raise UsageError(
            f"resources: a trial wants {resources.cpu} CPUs and {resources.gpu:g} GPUs, "
            f"and all of the machine is {cpus:g} CPUs and {gpus:g} GPUs"
        )
    slots = int(cpus // resources.cpu)
    if 0 < resources.gpu < 1:
        # Ray counts in ten-thousandths; in floats 0.2 is a little more than a fifth.
        share = max(round(resources.gpu * 10_000), 1)
        slots = min(slots, int(gpus) * (10_000 // share))
    elif resources.gpu:
        slots = min(slots, int(gpus // resources.gpu))
    return slots
