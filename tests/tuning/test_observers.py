"""Animations and TensorBoard files of runs that ended, crashed and went on."""

import io
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import make_study
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import gantune
from gantune.api import Silent, silent
from gantune.columns import EPOCHS
from gantune.host import Host
from gantune.paths import RunPaths
from gantune.study import Study
from gantune.trial import Record, TrialSpec
from gantune.tuning import observers
from gantune.tuning.conductor import Conductor
from gantune.tuning.lifecycle import create_run, finish_run
from gantune.tuning.local import drive
from gantune.tuning.observers import All, Animations, observed

EVERYTHING = {"tensors": 0, "scalars": 0, "images": 0}


class Crash(BaseException):
    """The process dies here."""


class CrashingHost(Host):
    """Dies when it has trained so many times."""

    def __init__(self, left: int) -> None:
        super().__init__()
        self.left = left

    def advance(self, handle: int, until: int, at_most_s: float) -> Any:
        if not self.left:
            raise Crash
        self.left -= 1
        return super().advance(handle, until, at_most_s)


class Dies(Silent):
    """Dies at the n-th call of a kind, after the tables and before the other observers."""

    def __init__(self, kind: str, left: int) -> None:
        self._kind, self._left = kind, left

    def _at(self, kind: str) -> None:
        if kind == self._kind:
            self._left -= 1
            if not self._left:
                raise Crash

    def recorded(self, number: int, records: Sequence[Record], steps: Sequence[Record]) -> None:
        self._at("recorded")

    def ended(self, number: int, row: dict[str, Any]) -> None:
        self._at("ended")

    def began(self, spec: TrialSpec) -> None:
        self._at("began")


def study_of() -> Study:
    return make_study(
        samples={"every": 2, "count": 5},
        loggers=["tensorboard"],
        scheduler={"grace_epochs": 2, "reduction_factor": 3},
        budget={"trials": 3},
    )


def session(paths: RunPaths, study: Study, host: Host, first: Silent | None = None) -> None:
    """One session of a run without Ray."""
    with observed(paths, study, silent) as observer:
        both = All([first, observer]) if first else observer
        conductor = Conductor(paths, study, both)
        try:
            drive(conductor, host, at_most_s=0)  # one report per epoch
        finally:
            conductor.close()


def events(root: Path, number: int) -> EventAccumulator:
    accumulator = EventAccumulator(str(RunPaths(root).tensorboard(number)), EVERYTHING)
    return accumulator.Reload()


def check_scalars(found: EventAccumulator, prefix: str, axis: str, rows: pd.DataFrame) -> None:
    """Every value of the table is there once, and nothing else."""
    floats = [c for c in rows.columns if rows[c].dtype == "float64"]
    for column in floats:
        tag, known = f"{prefix}/{column}", rows.dropna(subset=[column])
        if known.empty:
            assert tag not in found.Tags()["scalars"]
            continue
        logged = found.Scalars(tag)
        assert [e.step for e in logged] == known[axis].tolist(), tag
        np.testing.assert_array_equal([e.value for e in logged], known[column].astype("float32"))
    tags = {tag for tag in found.Tags()["scalars"] if tag.startswith(prefix)}
    assert tags <= {f"{prefix}/{column}" for column in floats}


def check(root: Path) -> None:
    run = gantune.load(root)
    floats = [column.name for column in EPOCHS if column.kind == "float"]
    for number in run.trials["number"]:
        found = events(root, number)
        epochs = run.epochs[run.epochs["number"] == number]
        check_scalars(found, "epoch", "epoch", epochs[["epoch", *floats]])
        check_scalars(found, "step", "step", run.steps[run.steps["number"] == number])
        pictures = sorted(RunPaths(root).samples(number).glob("*.png"))
        shown = found.Images("samples") if pictures else []
        assert [f"epoch-{e.step:05d}.png" for e in shown] == [path.name for path in pictures]
        assert [e.encoded_image_string for e in shown] == [p.read_bytes() for p in pictures]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> RunPaths:
    paths = RunPaths(tmp_path_factory.mktemp("runs") / "whole")
    create_run(paths, study_of())
    session(paths, study_of(), Host())
    return paths


def test_every_value_is_in_tensorboard(whole: RunPaths) -> None:
    assert len(gantune.load(whole.root).trials) == 3
    check(whole.root)
    found = events(whole.root, 0)
    assert {"epoch/frechet_distance", "epoch/d_acc", "step/g_loss"} <= set(found.Tags()["scalars"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "at"),
    [("recorded", 1), ("recorded", 4), ("recorded", 6), ("ended", 1), ("ended", 2), ("began", 2)],
)
def test_a_crash_between_table_and_events_leaves_no_trace(
    whole: RunPaths, tmp_path: Path, kind: str, at: int
) -> None:
    paths = RunPaths(tmp_path / "whole")
    create_run(paths, study_of())
    with pytest.raises(Crash):
        session(paths, study_of(), Host(), first=Dies(kind, at))
    session(paths, study_of(), Host())
    check(paths.root)
    same_files(whole, paths)


@pytest.mark.slow
@pytest.mark.parametrize("at", range(1, 7))
def test_pictures_do_not_depend_on_interruptions(whole: RunPaths, tmp_path: Path, at: int) -> None:
    paths = RunPaths(tmp_path / "whole")
    create_run(paths, study_of())
    for left in (at, 1):
        try:
            session(paths, study_of(), CrashingHost(left))
        except Crash:
            pass
    session(paths, study_of(), Host())
    check(paths.root)
    same_files(whole, paths)


def same_files(one: RunPaths, other: RunPaths) -> None:
    for number in range(3):
        for paths in (one, other):
            assert paths.animation(number).exists()
        names = sorted(path.name for path in one.samples(number).iterdir())
        assert names == sorted(path.name for path in other.samples(number).iterdir())
        for path in (one.samples(number) / name for name in names):
            assert path.read_bytes() == (other.samples(number) / path.name).read_bytes()
        assert one.animation(number).read_bytes() == other.animation(number).read_bytes()


@pytest.mark.slow
def test_a_torn_event_is_written_anew(tmp_path: Path) -> None:
    paths = RunPaths(tmp_path / "r")
    create_run(paths, study_of())
    with pytest.raises(Crash):
        session(paths, study_of(), CrashingHost(2))
    (path,) = paths.tensorboard(0).glob("events*")
    path.write_bytes(path.read_bytes()[:-7])
    session(paths, study_of(), Host())
    check(paths.root)


def test_a_trial_that_has_ended_is_not_written_again(whole: RunPaths) -> None:
    files = sorted(whole.tensorboard(0).iterdir())
    before = [path.read_bytes() for path in files]
    session(whole, study_of(), Host())
    assert [path.read_bytes() for path in sorted(whole.tensorboard(0).iterdir())] == before


def test_a_stopped_trial_has_its_animation(tmp_path: Path) -> None:
    paths = RunPaths(tmp_path / "r")
    for number, epochs in ((0, (2, 4)), (1, ())):
        paths.samples(number).mkdir(parents=True)
        for epoch in epochs:
            Image.new("L", (4, 4), epoch).save(paths.samples(number) / f"epoch-{epoch:05d}.png")
    animations = Animations(paths)
    animations.ended(0, {})
    animations.resumed([{"number": 1}])
    moving = Image.open(io.BytesIO(paths.animation(0).read_bytes()))
    assert moving.n_frames == 2  # type: ignore[attr-defined]
    assert not paths.animation(1).exists()


@pytest.mark.parametrize("size", [0, 10, 60, 200])
def test_a_damaged_picture_costs_a_frame_and_not_the_run(
    whole: RunPaths, tmp_path: Path, size: int
) -> None:
    root = Path(shutil.copytree(whole.root, tmp_path / "whole"))
    paths = RunPaths(root)
    path = paths.samples(0) / "epoch-00002.png"
    path.write_bytes(path.read_bytes()[:size])
    paths.animation(0).unlink()
    (paths.tensorboard(0) / "complete").unlink()
    session(paths, study_of(), Host())
    moving = Image.open(io.BytesIO(paths.animation(0).read_bytes()))
    assert not hasattr(moving, "n_frames") or moving.n_frames == 1


def test_a_logger_that_is_not_installed_is_named_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(observers, "find_spec", lambda name: None)
    with pytest.raises(gantune.UsageError, match=r"pip install 'gantune\[tensorboard\]'"):
        gantune.train(study_of(), tmp_path / "r")
    assert not (tmp_path / "r").exists()


def test_an_unknown_logger_is_refused() -> None:
    with pytest.raises(gantune.ConfigError, match=r"loggers\.0: Input should be 'tensorboard'"):
        make_study(loggers=["wandb"])


def test_events_that_cannot_be_written_end_the_session(tmp_path: Path) -> None:
    paths = RunPaths(tmp_path / "r")
    create_run(paths, study_of())
    (paths.root / "tensorboard").write_text("in the way")
    with observed(paths, study_of(), silent) as observer:
        conductor = Conductor(paths, study_of(), observer)
        drive(conductor, Host())
    with pytest.raises(gantune.RunError, match="the run cannot go on"):
        finish_run(conductor, paths.root)
