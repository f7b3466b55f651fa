"""A run in pandas."""

from pathlib import Path

import pytest
from conftest import make_study

import gantune
from gantune.paths import RunPaths
from gantune.records import TableWriter
from gantune.tuning.lifecycle import create_run


@pytest.fixture
def empty(tmp_path: Path) -> RunPaths:
    """A run that was killed before its first trial."""
    paths = RunPaths(tmp_path / "tiny")
    create_run(paths, make_study())
    return paths


def test_a_run_without_a_trial(empty: RunPaths) -> None:
    run = gantune.load(empty.root)
    assert run.status == "interrupted" and run.name == "tiny"
    assert run.trials.empty and run.epochs.empty and run.steps.empty
    with pytest.raises(gantune.RunError, match="no trial has a frechet_distance yet"):
        run.best()


@pytest.mark.parametrize(("goal", "best"), [("minimize", 1), ("maximize", 0)])
def test_the_best_is_the_best_of_all_epochs(tmp_path: Path, goal: str, best: int) -> None:
    study = make_study(objective={"metric": "modes", "goal": goal}, search={})
    root = tmp_path / "r"
    gantune.train(study, root)
    writer = TableWriter(RunPaths(root).table("epochs"))
    # A second trial that was better in the middle and is no longer.
    writer.append(
        [{"number": 1, "epoch": e, "objective": o} for e, o in ((1, -5), (2, -9), (3, -5))]
    )
    writer.close()
    run = gantune.load(root)
    if best == 0:
        assert run.best().number == 0
    else:
        with pytest.raises(gantune.RunError, match="no whole checkpoint of trial 1"):
            run.best()


def test_what_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(gantune.UsageError, match="is no run"):
        gantune.load(tmp_path)


def test_a_run_of_a_newer_version_is_refused(empty: RunPaths) -> None:
    empty.info.write_text('{"format": 99}')
    with pytest.raises(gantune.GantuneError, match="newer gantune"):
        gantune.load(empty.root)


def test_what_a_run_was_made_with(tmp_path: Path) -> None:
    run = gantune.train(make_study(), tmp_path / "r")
    (session,) = run.info["sessions"]
    assert session["versions"]["torch"] and session["features"]["hash"]
    assert session["ended_at"] > session["started_at"]
    study = gantune.load_study(run.root / "study.yaml")
    assert study.trial == make_study().trial and study.search == {}
