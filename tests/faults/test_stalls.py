"""A worker that hangs is killed, and its trial goes on; with the interpreter's lock held, too.

So is one that stands still as a whole.
"""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from conftest import make_study
from test_kills import workers
from whole import STATES, check_whole, tables

import gantune
from gantune.api import Silent
from gantune.errors import StorageError
from gantune.loader import load_study
from gantune.paths import RunPaths
from gantune.study import Study
from gantune.trial import Record
from gantune.tuning.runner import run_study
from gantune.tuning.stalls import ends_when_stalled

HANGING = """
import ctypes
import time
from pathlib import Path
from typing import Literal
import torch.nn.functional as F
from gantune import extend

class Options(extend.LossOptions):
    name: Literal["hanging"] = "hanging"
    how: Literal["asleep", "holding the lock"] = "asleep"
    times: int = 1

def hang(how):
    if how == "asleep":
        time.sleep(120)
    ctypes.PyDLL(None).sleep(120)  # a PyDLL's calls keep the interpreter's lock

@extend.loss(Options)
def hanging(options):
    calls = []
    marks = Path(MARKS) / options.how
    def discriminator(real, fake):
        calls.append(1)
        marks.mkdir(parents=True, exist_ok=True)
        if len(calls) > 6 and len(list(marks.iterdir())) < options.times:
            (marks / str(len(list(marks.iterdir())))).touch()
            hang(options.how)
        on_real, on_fake = F.softplus(-real).mean(-1), F.softplus(fake).mean(-1)
        return extend.DiscriminatorLoss((on_real + on_fake) / 2, on_real, on_fake)
    def generator(fake, real):
        return F.softplus(-fake).mean(-1)
    return extend.Loss(discriminator, generator, threshold=0.0)
"""

STUDY = """
name: hanging
extensions: [hanging.py]
trial:
  data: {name: ring, points: 200}
  generator: {name: mlp, hidden: [8], latent_dim: 2}
  discriminator: {name: mlp, hidden: [8]}
  loss: {name: hanging}
  train: {epochs: 4, steps_per_epoch: 4, batch_size: 24}
  eval: {samples: 50}
search:
  loss.how: {choice: [asleep, holding the lock]}
sampler: {name: grid}
scheduler: {name: none}
max_failures: 1
stall_timeout: 5
"""


@pytest.fixture
def study_file(tmp_path: Path) -> Path:
    """A study whose trials hang in their second epoch, ``times`` times each."""
    (tmp_path / "hanging.py").write_text(HANGING.replace("MARKS", repr(str(tmp_path / "marks"))))
    (tmp_path / "hanging.yaml").write_text(STUDY)
    return tmp_path / "hanging.yaml"


@pytest.mark.slow
@pytest.mark.usefixtures("standing_ray")
def test_a_worker_that_hangs_is_killed_and_its_trial_goes_on(
    study_file: Path, tmp_path: Path
) -> None:
    """One slot: were it not free again, the second trial would never begin."""
    run = gantune.run(load_study(study_file), runs_dir=tmp_path, concurrency=1)
    assert list(run.trials["status"]) == ["completed"] * 2
    assert len(list((tmp_path / "marks").glob("*/*"))) == 2, "both hung"
    assert run.epochs["wall_s"].max() < 120, "nobody waited for them"
    for _, rows in run.epochs.groupby("number"):
        assert list(rows["epoch"]) == [1, 2, 3, 4]
    assert not list(run.root.glob("trials/*/stalled.txt"))
    whole = gantune.train(load_study(study_file, ["loss.times=0"]), tmp_path / "undisturbed")
    first = run.epochs[run.epochs["number"] == 0]
    for column in ("g_loss", "d_loss", "objective"):
        assert first[column].tolist() == whole.epochs[column].tolist()


@pytest.mark.slow
@pytest.mark.usefixtures("standing_ray")
def test_one_that_has_no_attempt_left_fails_and_says_where(
    study_file: Path, tmp_path: Path
) -> None:
    study = load_study(study_file, ["loss.how=asleep", "max_failures=0"])
    run = gantune.run(study, runs_dir=tmp_path, concurrency=1)
    (trial,) = run.trials.to_dict("records")
    assert trial["status"] == "failed"
    assert trial["error"] == "no record for 5.0 s: stalled.txt says where it hung"
    assert "hanging.py" in RunPaths(run.root).stalled(0).read_text()


TOO_LATE_S = 150.0


class Freezer(Silent):
    """Stops the worker of a trial (SIGSTOP), so often, each time that it has given a record."""

    def __init__(self, times: int) -> None:
        self._times = times
        self.frozen: list[psutil.Process] = []

    def recorded(self, number: int, records: Sequence[Record], steps: Sequence[Record]) -> None:
        if len(self.frozen) < self._times:
            (worker,) = [worker for worker in workers() if worker not in self.frozen]
            worker.suspend()
            self.frozen.append(worker)
            # Without the watch the run would never end: let it, too late.
            self.rescue = threading.Timer(TOO_LATE_S, worker.kill)
            self.rescue.start()


@pytest.mark.long
@pytest.mark.usefixtures("standing_ray")
@pytest.mark.parametrize(
    ("attempts", "status"),
    [(2, "completed"), (1, "failed")],
)
def test_a_worker_that_stands_still_as_a_whole_is_killed(
    tmp_path: Path, attempts: int, status: str
) -> None:
    freezer = Freezer(times=1)

    @contextmanager
    def progress(study: Study) -> Iterator[Freezer]:
        yield freezer

    study = make_study(budget={"trials": 2}, max_failures=attempts - 1, stall_timeout=5)
    run = gantune.load(run_study(study, progress, runs_dir=tmp_path, concurrency=1).root)
    (worker,) = freezer.frozen
    assert freezer.rescue.is_alive(), "nobody ended the worker that stood still"
    freezer.rescue.cancel()
    assert not worker.is_running()
    assert run.trials["status"][0] == status
    if status == "completed":
        whole = gantune.run(study, name="whole", runs_dir=tmp_path, concurrency=1)
        check_whole(run.root, 2, 4)
        assert tables(run.root) == tables(whole.root)
        assert not list(run.root.glob("trials/*/stalled.txt"))
    else:
        assert run.trials["status"][1] in STATES, "its slot was free again"
        assert run.trials["status"][1] != "failed"
        assert run.trials["error"][0] == "no record for 5.0 s: stalled.txt says where it hung"
        assert "stood still" in RunPaths(run.root).stalled(0).read_text()


def test_what_does_not_hang_leaves_no_note(tmp_path: Path) -> None:
    note = tmp_path / "trial" / "stalled.txt"
    with ends_when_stalled(600, note):
        assert note.is_file()
    assert not note.exists()
    with pytest.raises(KeyError), ends_when_stalled(600, note):
        raise KeyError
    assert not note.exists()
    (tmp_path / "file").touch()
    with pytest.raises(StorageError), ends_when_stalled(600, tmp_path / "file" / "stalled.txt"):
        pass
    with ends_when_stalled(None, note):
        assert not note.exists()


def test_a_limit_that_every_report_would_pass_is_refused(study_file: Path) -> None:
    with pytest.raises(gantune.ConfigError, match=r"stall_timeout.*greater than or equal to 5"):
        load_study(study_file, ["stall_timeout=1"])
