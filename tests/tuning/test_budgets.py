"""Rungs in other units, and budgets: what ends trials and runs."""

import time
from pathlib import Path
from typing import Any

import pytest
from conftest import make_study
from optuna.trial import TrialState
from toy import ToyHost

import gantune
from gantune.api import Silent
from gantune.commands import change_concurrency
from gantune.errors import ConfigError
from gantune.forecast import forecast
from gantune.pace import pace_of
from gantune.paths import RunPaths
from gantune.runinfo import begin_session, end_session, read_info
from gantune.study import Study, with_values
from gantune.tuning.clock import Clock, seconds_before
from gantune.tuning.conductor import Conductor
from gantune.tuning.lifecycle import create_run, finish_run
from gantune.tuning.local import drive
from gantune.views import why_failed

LENGTH = {"train": {"epochs": 12, "steps_per_epoch": 2, "batch_size": 8}}
IMAGES = {"unit": "images", "grace_epochs": 2, "reduction_factor": 2}
SECONDS = {"unit": "seconds", "grace_seconds": 20, "max_seconds": 100, "reduction_factor": 2}


def run(root: Path, plan: Study) -> Conductor:
    conductor = Conductor(RunPaths(root), plan, Silent())
    drive(conductor, ToyHost())
    conductor.close()
    return conductor


@pytest.mark.parametrize(
    ("changes", "epochs", "at_epoch", "scale"),
    [
        ({}, 12, {2: 2, 4: 4, 8: 8}, 1),
        # Twice the images an epoch: half the epochs, and the scheduler sees it at double speed.
        ({"train.d_steps": 2}, 6, {2: 1, 4: 2, 8: 4}, 2),
        ({"train.d_steps": 5}, 3, {2: 1, 4: 1, 8: 2}, 5),  # 2.4, 0.4, 0.8 and 1.6, rounded up
        ({"train.batch_size": 4}, 24, {2: 4, 4: 8, 8: 16}, 0.5),
    ],
)
def test_rungs_and_length_in_images(
    tmp_path: Path, changes: dict[str, Any], epochs: int, at_epoch: dict[int, int], scale: float
) -> None:
    plan = make_study(trial=LENGTH, scheduler=IMAGES)
    pace = pace_of(plan, with_values(plan.trial, changes))
    assert (pace.at_epoch, pace.scale) == (at_epoch, pytest.approx(scale))
    search = {path: {"choice": [value]} for path, value in changes.items()}
    conductor = run(tmp_path, make_study(trial=LENGTH, scheduler=IMAGES, search=search))
    first = conductor.ledger.ends[0]
    assert (first["status"], first["epochs"]) == ("completed", epochs)
    # Optuna compares trials where they had seen as many images.
    frozen = conductor.optuna.get_trials()[0]
    assert max(frozen.intermediate_values) == pytest.approx(12, abs=3)


def test_rungs_in_seconds_go_by_the_clock_of_each_trial(tmp_path: Path) -> None:
    """Trials with an odd number are half as fast: their rungs come after half the epochs."""
    conductor = run(tmp_path, make_study(trial=LENGTH, scheduler=SECONDS, budget={"trials": 8}))
    ends = conductor.ledger.ends
    assert (ends[0]["status"], ends[0]["epochs"]) == ("completed", 10)  # 10 s each
    stopped = [row for row in ends.values() if row["stopped_by"] == "asha"]
    assert stopped
    for row in stopped:
        pace = 10 * (1 + row["number"] % 2)
        # A host hands out two epochs at a time; the first of them may be the one that decides.
        seconds = {row["epochs"] * pace, (row["epochs"] - 1) * pace}
        assert any(rung <= s < rung + pace for rung in (20, 40, 80) for s in seconds)


def test_a_budget_of_epochs_ends_the_run_and_what_runs(tmp_path: Path) -> None:
    plan = make_study(trial=LENGTH, scheduler={"name": "none"}, budget={"trials": 9, "epochs": 30})
    conductor = run(tmp_path, plan)
    ends = [conductor.ledger.ends[number] for number in sorted(conductor.ledger.ends)]
    assert [row["stopped_by"] for row in ends if row["status"] == "stopped"] == ["budget"]
    assert 30 <= sum(row["epochs"] for row in ends) < 32  # two epochs a report
    assert conductor.remaining == 0 and not conductor.was_stopped
    states = [trial.state for trial in conductor.optuna.get_trials()]
    assert TrialState.RUNNING not in states and states[-1] == TrialState.PRUNED


@pytest.mark.parametrize("budget", [{"hours": 1e-9}, {"gpu_hours": 30 / 3600}])
def test_a_budget_of_time_ends_the_run(tmp_path: Path, budget: dict[str, float]) -> None:
    """By then nothing has been trained, or one trial for 30 of its seconds on half a GPU."""
    plan = make_study(
        trial=LENGTH,
        scheduler={"name": "none"},
        resources={"gpu": 0.5},
        budget={"trials": 5, **budget},
    )
    conductor = run(tmp_path, plan)
    ends = conductor.ledger.ends
    if "hours" in budget:
        assert not ends
    else:
        assert [row["stopped_by"] for row in ends.values()] == ["budget"]
        assert ends[0]["epochs"] == 6
    assert conductor.remaining == 0


def test_what_an_earlier_session_left_unfinished_is_ended(tmp_path: Path) -> None:
    paths, plan = RunPaths(tmp_path), make_study(trial=LENGTH, budget={"trials": 5})
    conductor, host = Conductor(paths, plan, Silent()), ToyHost()
    spec = conductor.ask()
    assert spec
    host.open(spec)
    progress = host.advance(spec.number, 2, 0)
    assert conductor.observe(0, progress.records, progress.steps, "w")
    conductor.close()
    spent = plan.model_copy(
        update={"budget": plan.budget.model_copy(update={"epochs": len(progress.records)})}
    )
    again = Conductor(paths, spent, Silent())
    assert again.remaining == 0
    again.close()
    assert again.ledger.ends[0]["stopped_by"] == "budget"
    assert again.optuna.get_trials()[0].state == TrialState.PRUNED


@pytest.mark.slow
def test_the_clock_counts_all_sessions_and_a_killed_one_to_its_last_write(tmp_path: Path) -> None:
    paths = RunPaths(tmp_path)
    began = time.monotonic()
    begin_session(paths.info, None, {})
    assert seconds_before(paths) == 0
    time.sleep(0.2)
    end_session(paths.info, "finished")
    begin_session(paths.info, None, {})  # is killed after it has written a row
    conductor = Conductor(paths, make_study(), Silent())
    assert conductor.ask()
    conductor.close()
    used = time.monotonic() - began
    time.sleep(1)
    begin_session(paths.info, None, {})
    assert len(read_info(paths.info)["sessions"]) == 3
    assert 0.2 <= seconds_before(paths) < used + 0.1
    plan = make_study(budget={"trials": 5, "hours": 0.2 / 3600})
    assert Clock(plan, paths).is_spent(conductor.ledger)


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"scheduler": {"unit": "seconds"}}, "need grace_seconds and max_seconds"),
        ({"scheduler": {"grace_seconds": 3}}, "are for unit: seconds"),
        (
            {"scheduler": IMAGES, "search": {"train.epochs": {"int": [2, 4]}}},
            "search no train.epochs",
        ),
        ({"budget": {"gpu_hours": 1}}, "resources.gpu is 0"),
    ],
)
def test_what_is_refused(sections: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make_study(**sections)


@pytest.mark.slow
@pytest.mark.usefixtures("standing_ray")
def test_concurrency_changes_while_a_run_goes_on(tmp_path: Path) -> None:
    from gantune.tuning.searcher import StudySearcher  # imports Ray

    paths = RunPaths(tmp_path)
    conductor = Conductor(paths, make_study(budget={"trials": 6}), Silent())
    searcher = StudySearcher(conductor, 2)
    assert [searcher.suggest(str(n)) is None for n in range(3)] == [False, False, True]
    change_concurrency(tmp_path, 1)
    assert searcher.suggest("2") is None
    change_concurrency(tmp_path, 3)
    assert searcher.suggest("3") is not None and searcher.suggest("4") is None
    conductor.finish(0, failed=True)
    searcher.on_trial_complete("0", error=True)
    assert searcher.suggest("5") is not None
    conductor.close()


@pytest.mark.parametrize("fail_fast", [True, False])
def test_with_fail_fast_a_failed_trial_ends_the_run(tmp_path: Path, fail_fast: bool) -> None:
    paths = RunPaths(tmp_path / "run")
    plan = make_study(trial=LENGTH, scheduler={"name": "none"}, fail_fast=fail_fast)
    create_run(paths, plan)
    begin_session(paths.info, None, {})
    conductor, host = Conductor(paths, plan, Silent()), ToyHost(at_once=12)
    first, second = conductor.ask(), conductor.ask()
    assert first and second
    host.open(first)
    progress = host.advance(0, 12, 0)
    assert not conductor.observe(0, progress.records, progress.steps, "w")
    conductor.finish(0, failed=False)
    conductor.finish(1, failed=True)
    assert conductor.halted == fail_fast
    end = finish_run(conductor, paths.root)
    assert end.status == ("failed" if fail_fast else "finished")
    said = why_failed(gantune.load(paths.root))
    assert said.startswith("trial 1 failed, and with fail_fast that ends the run") and (
        "gantune resume" in said
    )
    # What it has left is for the next session.
    again = Conductor(paths, plan, Silent())
    assert again.ask() is not None
    again.close()


@pytest.mark.parametrize(
    ("sections", "line"),
    [
        ({"scheduler": {"name": "none"}}, "4 trials, at most 48 epochs, about 48 expected"),
        # Four to epoch 2, two to 4, one to 8, half of one to 12.
        (
            {"scheduler": {"grace_epochs": 2, "reduction_factor": 2}},
            "4 trials, at most 48 epochs, about 18 expected",
        ),
        ({"scheduler": IMAGES}, "4 trials, at most 768 images, about 288 expected"),
        # 4 x 20, 2 x 20, 1 x 40 and half of 20 seconds.
        (
            {"scheduler": SECONDS},
            "4 trials, at most 0.111 hours of training, about 0.0472 expected",
        ),
        (
            {"budget": {"trials": 4, "epochs": 1000, "hours": 2}, "scheduler": {"name": "none"}},
            "48 expected, ends after 1,000 epochs of all trials, ends after 2 hours on the clock",
        ),
        (
            {"budget": {"trials": 4, "gpu_hours": 3}, "resources": {"gpu": 0.5}},
            "ends after 3 GPU-hours",
        ),
        (
            {"confirm": {"top": 2, "seeds": 5}, "start": None},
            "confirm: the best 2 and the base trial again with 5 fresh seeds each, 15 trials, "
            "at most 180 epochs, not part of the budget",
        ),
        ({"constraints": ["coverage >= 0.5"]}, "the best trial has coverage >= 0.5"),
    ],
)
def test_what_a_study_would_use_is_told_before(sections: dict[str, Any], line: str) -> None:
    told = list(forecast(make_study(trial=LENGTH, **sections)))
    assert any(line in said for said in told), told
