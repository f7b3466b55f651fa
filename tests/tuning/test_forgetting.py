"""What a session no longer keeps of trials that have ended."""

from pathlib import Path
from typing import Any

import pytest
from conftest import make_study
from toy import ToyHost

import gantune
from gantune.api import Silent
from gantune.paths import RunPaths
from gantune.records import read_table
from gantune.tuning.conductor import Conductor
from gantune.tuning.local import drive


def test_records_of_ended_trials_stand_in_the_table_only(tmp_path: Path) -> None:
    plan = make_study(confirm={"top": 1, "seeds": 2})
    for again in (False, True):
        conductor = Conductor(RunPaths(tmp_path), plan, Silent())
        assert bool(conductor.remaining) is not again
        drive(conductor, ToyHost())
        conductor.close()
        assert len(conductor.ledger.ends) > 4 and not conductor.ledger.records
        rows = read_table(RunPaths(tmp_path).table("epochs")).num_rows
        assert len(conductor.ledger.order) == rows


@pytest.mark.slow
@pytest.mark.usefixtures("standing_ray")
def test_tune_keeps_no_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # They import ray, which is to be started first.
    from ray.tune.experiment import Trial

    from gantune.tuning.forgetful import Forgetful

    ended: list[Any] = []
    forgets = Forgetful.on_trial_complete

    def hears(self: Forgetful, iteration: int, trials: list[Any], trial: Any) -> None:
        assert trial.last_result["config"] and trial.metric_n_steps
        forgets(self, iteration, trials, trial)
        ended.append(trial)

    monkeypatch.setattr(Forgetful, "on_trial_complete", hears)
    gantune.run(make_study(), runs_dir=tmp_path, concurrency=1)
    assert len(ended) == 4
    failed = Trial("failed", stub=True)
    failed.update_last_result({"a": 1.0, "config": {}, "done": False})
    assert failed.metric_n_steps
    Forgetful().on_trial_error(0, [failed], failed)
    for trial in (*ended, failed):
        assert len(trial.last_result) <= 2 and not trial.experiment_tag
        assert not trial.metric_analysis and not trial.metric_n_steps
