"""Ray, started for one run: on this machine only, quiet, with no more than it needs."""

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

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
