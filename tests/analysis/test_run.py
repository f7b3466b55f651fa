"""A run in pandas."""

import io
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from conftest import make_study
from made import make_run

import gantune
from gantune.checkpoints import CheckpointWriter
from gantune.display import show_run, show_runs, show_trial
from gantune.engine.materials import make_materials
from gantune.paths import RunPaths
from gantune.records import TableWriter
from gantune.runinfo import read_info
from gantune.storage import read_json, write_json
from gantune.terminal import Terminal
from gantune.tuning.lifecycle import create_run, refuse_other_features, session_facts


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
        with pytest.raises(gantune.CheckpointError, match="no whole checkpoint of trial 1"):
            run.best()


def test_a_run_that_cannot_be_read_does_not_end_the_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root reads what others may not: the refusal is made."""
    for name in ("a", "b", "c"):
        make_run(tmp_path / name, trials=2)

    def read(path: Path) -> dict[str, Any]:
        if path.parent.name == "b":
            raise PermissionError(13, "Permission denied", str(path))
        return read_info(path)

    monkeypatch.setattr("gantune.analysis.run.read_info", read)
    out = io.StringIO()
    show_runs(tmp_path, Terminal(file=out, width=300))
    assert [line.split()[:2] for line in out.getvalue().splitlines()[1:]] == [
        ["a", "finished"],
        ["b", "unreadable"],
        ["c", "finished"],
    ]
    assert "Permission denied" in out.getvalue()


def test_a_trial_without_an_end_has_what_it_recorded_so_far(empty: RunPaths) -> None:
    trials, epochs = TableWriter(empty.table("trials")), TableWriter(empty.table("epochs"))
    for number in (0, 1):
        trials.append([{"number": number, "status": "running", "parameters": "{}"}])
    values = [(1, 5.0, 5.0), (2, 3.0, 3.0), (3, 4.0, 3.0), (4, None, 3.0)]
    epochs.append(
        [
            {"number": 0, "epoch": e, "objective": o, "best_objective": b, "wall_s": float(e)}
            for e, o, b in values
        ]
    )
    trials.close()
    epochs.close()
    run = gantune.load(empty.root)
    row = run.trials.iloc[0]
    assert (row["status"], row["epochs"], row["objective"]) == ("interrupted", 4, 3.0)
    assert (row["best_epoch"], row["last_objective"], row["wall_s"]) == (2, 4.0, 4.0)
    assert run.trials.iloc[1]["epochs"] is pd.NA
    out = io.StringIO()
    with pytest.raises(gantune.CheckpointError, match="no whole checkpoint"):
        show_run(run, Terminal(file=out, width=120))
    show_trial(run, 1, Terminal(file=out, width=120))  # nothing recorded: no traceback
    assert "interrupted" in out.getvalue()


def test_the_best_speaks_of_the_epoch_of_its_checkpoint(tmp_path: Path) -> None:
    """A trial that was interrupted between checkpoint and table: the checkpoint is ahead."""
    run = gantune.train(make_study(), tmp_path / "r")
    writer = CheckpointWriter(RunPaths(run.root).best(0), 9)
    writer.write(b"", {"epoch": 7, "config": {}, "record": {"objective": -1.0}})
    ahead = gantune.load(run.root).best()
    assert (ahead.epoch, ahead.objective) == (7, -1.0)
    assert ahead.checkpoint.name == "009-000007.safetensors"


@pytest.mark.parametrize("text", ["[]", "3", "{", ""])
def test_a_damaged_run_file_is_named(empty: RunPaths, text: str) -> None:
    empty.info.write_text(text)
    with pytest.raises(gantune.GantuneError, match=r"run\.json is damaged"):
        gantune.load(empty.root)


def test_a_lost_row_of_a_trial_is_no_traceback(tmp_path: Path) -> None:
    run = gantune.train(make_study(), tmp_path / "r")
    (segment,) = RunPaths(run.root).table("trials").glob("*.arrow")
    segment.write_bytes(segment.read_bytes()[:50])
    damaged = gantune.load(run.root)
    assert damaged.trials.empty and damaged.best().parameters == {}


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


def shown(run: gantune.Run, trial: int | None = None) -> str:
    out = io.StringIO()
    console = Terminal(file=out, width=200)
    if trial is None:
        show_run(run, console)
    else:
        show_trial(run, trial, console)
    return out.getvalue()


def test_every_number_is_shown_with_its_features_and_samples(tmp_path: Path) -> None:
    trial = {"data": {"name": "digits", "limit": 200}, "eval": {"samples": 60}}
    run = gantune.train(make_study(trial=trial, search={}), tmp_path / "r")
    features = run.info["sessions"][-1]["features"]
    measured = run.measured_in
    assert measured is not None
    assert (measured.name, measured.samples, measured.real) == ("classifier", 60, 200)
    assert measured.hash == features["hash"] and len(measured.hash) == 16
    line = (
        f"frechet_distance in classifier features {features['hash']} "
        f"(held-out accuracy {features['accuracy']:.3f}), 60 samples"
    )
    assert line in shown(run) and line in shown(run, 0)
    assert features["accuracy"] > 0.9


def test_points_say_what_they_are_measured_in_and_modes_only_of_how_many(tmp_path: Path) -> None:
    run = gantune.train(make_study(search={}), tmp_path / "r")
    assert run.measured_in is not None
    hash_ = run.info["sessions"][-1]["features"]["hash"]
    assert run.measured_in.features == f"coordinates {hash_}"
    assert run.measured_in.describe("mode_kl") == "mode_kl of 50 samples"
    assert run.measured_in.describe("coverage") == f"coverage in coordinates {hash_}, 50 samples"


def test_what_an_older_version_did_not_note_follows_from_the_study(tmp_path: Path) -> None:
    run = gantune.train(make_study(search={}), tmp_path / "r")
    older = read_json(RunPaths(run.root).info)
    assert older["sessions"][0].pop("samples") == 50
    write_json(RunPaths(run.root).info, older)
    measured = gantune.load(run.root).measured_in
    assert measured is not None and measured.samples == 50


def test_a_run_killed_before_its_features_says_so(empty: RunPaths) -> None:
    assert gantune.load(empty.root).measured_in is None


def test_a_run_does_not_go_on_in_other_features(tmp_path: Path) -> None:
    study = make_study(search={})
    run = gantune.train(study, tmp_path / "r")
    paths = RunPaths(run.root)
    same = session_facts(study, make_materials(study.trial), 1)
    refuse_other_features(paths, same)
    changed = make_study(trial={"data": {"name": "ring", "points": 200, "std": 0.02}}, search={})
    other = session_facts(changed, make_materials(changed.trial), 1)
    with pytest.raises(gantune.UsageError, match=r"coordinates.*would not compare.*have changed"):
        refuse_other_features(paths, other)
