"""How many trials fit, and that fractions of GPUs pack."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gantune.errors import UsageError
from gantune.study import Resources
from gantune.tuning.cluster import _usable_cpus, ray_environment, slots_of


@pytest.mark.parametrize(
    ("cpus", "gpus", "cpu", "gpu", "slots"),
    [
        (2, 0, 1, 0, 2),
        (7, 0, 2, 0, 3),
        (8, 1, 1, 0.25, 4),
        (8, 2, 1, 0.4, 4),  # two to a GPU, not floor(2 / 0.4) = 5
        (53, 8, 1, 0.15, 48),
        (64, 4, 1, 0.2, 20),  # as floats 1 // 0.2 is 4
        (64, 4, 1, 0.1, 40),
        (8, 4, 1, 2, 2),
        (2, 8, 1, 1, 2),
    ],
)
def test_slots(cpus: float, gpus: float, cpu: int, gpu: float, slots: int) -> None:
    assert slots_of(cpus, gpus, Resources(cpu=cpu, gpu=gpu)) == slots


@pytest.mark.parametrize(("cpu", "gpu"), [(3, 0), (1, 0.1), (1, 1)])
def test_what_does_not_fit_is_refused(cpu: int, gpu: float) -> None:
    with pytest.raises(UsageError, match="all of the machine is 2 CPUs and 0 GPUs"):
        slots_of(2, 0, Resources(cpu=cpu, gpu=gpu))


def test_cpus_are_those_that_this_process_may_use() -> None:
    if not hasattr(os, "sched_setaffinity"):
        assert _usable_cpus() is None  # a Mac binds no process
        return
    every = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(every)})
        assert _usable_cpus() == (1 if (os.cpu_count() or 1) > 1 else None)
    finally:
        os.sched_setaffinity(0, every)


def test_the_environment_is_left_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """What somebody has set stays set, what a run needs is gone with it."""
    monkeypatch.setenv("RAY_DEDUP_LOGS", "1")
    monkeypatch.delenv("TUNE_RESULT_BUFFER_LENGTH", raising=False)
    before = dict(os.environ)
    with ray_environment():
        assert os.environ["RAY_DEDUP_LOGS"] == "1"
        assert os.environ["TUNE_RESULT_BUFFER_LENGTH"] == "1"
    assert dict(os.environ) == before


SHARED = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
import ray
from conftest import make_study
import gantune

ray.init(address="local", num_cpus=2, num_gpus=1, include_dashboard=False, log_to_driver=False,
         logging_level="ERROR", _node_ip_address="127.0.0.1")
study = make_study(
    trial={{"train": {{"epochs": 3, "steps_per_epoch": 900, "batch_size": 8}}, "device": "cpu"}},
    resources={{"cpu": 1, "gpu": 0.5}}, budget={{"trials": 4}}, scheduler={{"name": "none"}},
)
run = gantune.run(study, runs_dir=Path({runs!r}))
print("workers", run.trials["worker"].nunique(), "slots", run.info["sessions"][0]["slots"])
assert ray.is_initialized()  # a Ray that was there before is left as it was
ray.shutdown()
"""


@pytest.mark.long
def test_two_trials_share_a_gpu(tmp_path: Path) -> None:
    """The GPU is one that Ray is told of: scheduling needs no more."""
    code = SHARED.format(tests=str(Path(__file__).parent.parent), runs=str(tmp_path))
    # The standing Ray of other tests hides GPUs, which would limit what this one can be told of.
    environment = {k: v for k, v in os.environ.items() if k != "CUDA_VISIBLE_DEVICES"}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert "workers 2 slots 2" in done.stdout, done.stderr
