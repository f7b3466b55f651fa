"""What a worker leaves of a trial that fails, and what it reports; Tune itself is not needed."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from conftest import make_study
from test_host import spec

from gantune.api import Silent
from gantune.config import TrialConfig
from gantune.errors import UsageError
from gantune.paths import RunPaths
from gantune.tuning.conductor import Conductor

if TYPE_CHECKING:
    from gantune.tuning.trainable import StudyTrainable

# Ray is imported in the tests, after it was told what to listen on.
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("standing_ray")]


def trainable(folder: Path, config: TrialConfig) -> "StudyTrainable":
    from gantune.tuning.trainable import StudyTrainable

    return StudyTrainable({"spec": spec(folder, config, rungs=()).model_dump_json()})


@pytest.fixture
def trial(tmp_path: Path) -> "Iterator[StudyTrainable]":
    """One that goes well if nothing is in its way."""
    made = trainable(tmp_path, make_study().trial)
    yield made
    made.stop()


def test_what_an_earlier_attempt_left_is_gone_when_the_next_begins(
    trial: "StudyTrainable", tmp_path: Path
) -> None:
    (tmp_path / "error.txt").write_text("Traceback ...\nRuntimeError: out of luck\n")
    assert trial.train()["records"][0]["epoch"] == 1
    assert not (tmp_path / "error.txt").exists()


def test_a_failed_trial_leaves_its_traceback(tmp_path: Path) -> None:
    failing = trainable(tmp_path, make_study(trial={"device": "cuda"}).trial)
    with pytest.raises(UsageError, match="sees no such device"):
        failing.train()
    text = (tmp_path / "error.txt").read_text()
    assert text.startswith("Traceback") and "sees no such device" in text.splitlines()[-1]


def test_a_damaged_checkpoint_is_named_by_the_driver(tmp_path: Path) -> None:
    """Scheduler and trainable hand on what the worker has found."""
    from gantune.tuning.scheduler import StudyScheduler
    from gantune.tuning.trainable import StudyTrainable

    plan = make_study()
    conductor = Conductor(RunPaths(tmp_path), plan, Silent())
    spec = conductor.ask()
    assert spec is not None
    for attempt in ("first", "second"):
        worker = StudyTrainable({"spec": spec.model_dump_json()})
        report = worker.train()
        if attempt == "first":
            worker.stop()
            (weights,) = conductor.paths.last(0).glob("*.safetensors")
            weights.write_bytes(b"")
    said = f"{weights} is damaged; its trial begins anew, to the same numbers"
    scheduler = StudyScheduler(conductor)
    with pytest.warns(UserWarning, match=re.escape(said)):
        scheduler.on_trial_result(None, None, report)
    scheduler.on_trial_result(None, None, worker.train())  # a warning more were an error
    worker.stop()
    conductor.close()


def test_a_disk_that_fails_is_reported_and_is_no_failure_of_the_trial(
    trial: "StudyTrainable", tmp_path: Path
) -> None:
    (tmp_path / "last").write_text("in the way")
    report = trial.train()
    assert "last" in report["storage_error"] and report["records"] == []
    assert not (tmp_path / "error.txt").exists()
