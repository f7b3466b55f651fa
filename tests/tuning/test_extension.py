"""A run that is given more to do, and one whose study was changed behind its back."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from conftest import make_study
from test_replay import run_to_its_end, study, tables

from gantune.api import silent
from gantune.errors import UsageError
from gantune.loader import open_study
from gantune.paths import RunPaths
from gantune.runinfo import begin_session, end_session
from gantune.study import Study
from gantune.tuning.extension import Extension, dumped, extended, parse_hours, refuse_changed
from gantune.tuning.lifecycle import create_run, rewrite_study
from gantune.tuning.runner import resume_run


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_an_extended_run_is_the_run_with_the_larger_budget(tmp_path: Path, seed: int) -> None:
    run_to_its_end(tmp_path / "large", study(11, seed))
    root = tmp_path / "extended"
    plan = study(4, seed)
    run_to_its_end(root, plan)
    for trials in ("+3", "11"):
        plan = extended(plan, RunPaths(root), Extension(trials=trials))
        run_to_its_end(root, plan)
    assert plan.budget.trials == 11
    assert tables(root) == tables(tmp_path / "large")


def test_more_epochs_in_all_go_on_with_new_trials(tmp_path: Path) -> None:
    plan = study(20, budget={"trials": 20, "epochs": 10})
    run_to_its_end(tmp_path, plan)
    short = tables(tmp_path)
    run_to_its_end(tmp_path, extended(plan, RunPaths(tmp_path), Extension(epochs=20)))
    long = tables(tmp_path)
    assert long["epochs"][: len(short["epochs"])] == short["epochs"]
    assert 10 <= len(short["epochs"]) < 20 <= len(long["epochs"]) < 23
    ended = [row["number"] for row in long["trials"] if row["stopped_by"] == "budget"]
    assert len(ended) == len(set(ended)) <= 2


@pytest.mark.parametrize(
    ("extension", "message"),
    [
        (Extension(trials="7"), "no more: the run has 7 already"),
        (Extension(trials="+0"), "no more"),
        (Extension(trials="many"), r"write \+20 for 20 more"),
        (Extension(epochs=5), "no more: the budget is no limit"),
    ],
)
def test_what_is_no_more_is_refused(tmp_path: Path, extension: Extension, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        extended(study(7), RunPaths(tmp_path), extension)


@pytest.mark.parametrize(
    ("text", "hours"), [("90s", 0.025), ("30m", 0.5), ("1h30m", 1.5), ("2d", 48), ("1.5h", 1.5)]
)
def test_durations(text: str, hours: float) -> None:
    assert parse_hours(text) == pytest.approx(hours)


@pytest.mark.parametrize("text", ["", "5", "h", "1x", "1h?", "0m", "-1h"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(UsageError, match="no duration"):
        parse_hours(text)


def test_hours_count_from_now(tmp_path: Path) -> None:
    """Six minutes of an earlier session are in the budget's hours, and one hour is on top."""
    paths = RunPaths(tmp_path)
    begin_session(paths.info, None, {})
    end_session(paths.info, "finished")
    info = json.loads(paths.info.read_text())
    earlier = datetime.now(UTC) - timedelta(minutes=6)
    info["sessions"][0]["started_at"] = earlier.isoformat()
    paths.info.write_text(json.dumps(info))
    hours = extended(study(), paths, Extension(hours=1.0)).budget.hours
    assert hours == pytest.approx(1.1, abs=0.01)


TRAIN = {"epochs": 4, "steps_per_epoch": 2, "batch_size": 8}


@pytest.mark.parametrize(
    ("sections", "path"),
    [
        ({"search": {"optimizer.generator.lr": {"log_uniform": [1e-5, 1e-3]}}}, "search.optimizer"),
        ({"objective": {"metric": "coverage"}}, "objective.metric"),
        ({"trial": {"train": {"epochs": 5, "steps_per_epoch": 2}}}, "trial.train.epochs"),
        # What was not set before.
        ({"trial": {"train": TRAIN | {"ema": 0.9}}}, r"trial\.train\.ema: null -> 0\.9"),
        ({"trial_seed": 7}, "trial_seed: null -> 7"),
        ({"start": None}, r"start: \[\] -> null"),
    ],
)
def test_a_study_that_was_changed_is_refused_with_the_difference(
    tmp_path: Path, sections: dict[str, Any], path: str
) -> None:
    paths, plan = RunPaths(tmp_path / "run"), make_study()
    create_run(paths, plan)
    begin_session(paths.info, None, {"study": dumped(plan)})
    larger = extended(plan, paths, Extension(trials="+5"))
    rewrite_study(paths, larger)
    assert open_study(paths.study).budget.trials == plan.budget.trials + 5
    refuse_changed(paths, larger)
    with pytest.raises(UsageError, match=path) as refusal:
        refuse_changed(paths, make_study(**sections))
    assert "->" in str(refusal.value)


@pytest.mark.parametrize(
    ("address", "plan", "message"),
    [
        (None, make_study(trial_seed=7), "is not what the run was made with"),
        ("127.0.0.1:9", make_study(), "nothing answers there"),
    ],
)
def test_a_refused_resume_has_extended_nothing(
    tmp_path: Path, address: str | None, plan: Study, message: str
) -> None:
    """Else a second `--trials +5` would be ten more."""
    paths = RunPaths(tmp_path / "run")
    create_run(paths, make_study())
    begin_session(paths.info, None, {"study": dumped(make_study())})
    rewrite_study(paths, plan)
    with pytest.raises(UsageError, match=message):
        resume_run(paths.root, silent, address=address, extension=Extension(trials="+5"))
    assert open_study(paths.study).budget.trials == 4


def test_a_grid_that_is_used_up_is_not_extended(tmp_path: Path) -> None:
    search = {"optimizer.generator.beta1": {"choice": [0.0, 0.5, 0.9]}}
    plan = make_study(search=search, sampler={"name": "grid"}, budget={"trials": 2})
    paths = RunPaths(tmp_path)
    assert extended(plan, paths, Extension(trials="+5")).budget.trials == 3
    whole = plan.model_copy(update={"budget": plan.budget.model_copy(update={"trials": 3})})
    with pytest.raises(UsageError, match=r"--trials \+5 is no more: the grid has 3 combinations"):
        extended(whole, paths, Extension(trials="+5"))
