"""Studies on a real Ray: what is decided, told and kept."""

import os
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
import psutil
import pytest
from conftest import make_study
from data_files import random_images, write_idx
from optuna.trial import TrialState

import gantune
from gantune.api import Silent, silent
from gantune.columns import TIMES
from gantune.commands import change_concurrency
from gantune.engine.real import read_real
from gantune.host import Host
from gantune.paths import RunPaths
from gantune.records import read_table
from gantune.study import Study
from gantune.tuning import journal
from gantune.tuning.conductor import Conductor
from gantune.tuning.local import drive
from gantune.tuning.runner import resume_run, run_study

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("standing_ray")]

DEEP = [16] * 24
"""Layers that a rate of 10 makes overflow within a few steps."""


def optuna_trials(root: Path, study: Study) -> list[optuna.trial.FrozenTrial]:
    sampler = optuna.samplers.RandomSampler()
    opened = journal.open_journal(
        RunPaths(root).journal, study.name, [study.objective.direction], sampler
    )
    return opened.get_trials()


def comparable(root: Path) -> dict[str, Any]:
    tables = {}
    for name in ("epochs", "steps", "trials"):
        rows = read_table(RunPaths(root).table(name)).to_pylist()
        tables[name] = [{k: v for k, v in row.items() if k not in TIMES} for row in rows]
    return tables


def test_every_kind_of_end_is_told_as_it_was(tmp_path: Path) -> None:
    study = make_study(
        trial={"train": {"epochs": 4, "steps_per_epoch": 8, "batch_size": 8}},
        search={
            "optimizer.generator.lr": {"log_uniform": [1e-5, 1e-2]},
            "discriminator.hidden": {"choice": [[8], DEEP]},
            "optimizer.discriminator.lr": {
                "uniform": [10, 10],
                "when": {"discriminator.hidden": [DEEP]},
            },
            "device": {"choice": ["cpu", "auto", "cuda"]},  # there is no GPU: these fail
        },
        budget={"trials": 14},
        max_failures=0,
    )
    run = gantune.run(study, runs_dir=tmp_path)
    assert run.status == "finished"
    assert set(run.trials["status"]) == {"completed", "stopped", "diverged", "failed"}
    states = {
        "completed": TrialState.COMPLETE,
        "stopped": TrialState.PRUNED,
        "diverged": TrialState.PRUNED,
        "failed": TrialState.FAIL,
    }
    told = optuna_trials(run.root, study)
    assert [t.number for t in told] == list(run.trials["number"]) == list(range(14))
    for trial, row in zip(told, run.trials.to_dict("records"), strict=True):
        rows = run.epochs[run.epochs["number"] == trial.number]
        assert trial.state == states[row["status"]]
        assert list(rows["epoch"]) == list(range(1, len(rows) + 1))
        if row["status"] in ("completed", "stopped"):
            expected = dict(zip(rows["epoch"], rows["best_objective"], strict=True))
            assert trial.intermediate_values == expected
            assert trial.value == row["objective"] == rows["objective"].min()
        else:
            assert trial.values is None and not trial.intermediate_values
        if row["status"] == "diverged":
            assert rows["evidence"].iloc[-1].startswith("in epoch")
        if row["status"] == "failed":
            assert "sees no such device" in row["error"]
            error = RunPaths(run.root).error(trial.number).read_text()
            assert error.startswith("Traceback")


def test_two_slots_are_both_used_and_actors_are_used_again(tmp_path: Path) -> None:
    """Without max_concurrent_trials Tune keeps one trial; without reuse, an actor a trial."""
    study = make_study(
        trial={"train": {"epochs": 3, "steps_per_epoch": 400, "batch_size": 8}},
        budget={"trials": 8},
        scheduler={"name": "none"},
    )
    run = gantune.run(study, runs_dir=tmp_path, concurrency=2)
    assert run.trials["worker"].nunique() == 2
    assert (run.trials["epochs"] == 3).all()


def test_one_slot_on_ray_equals_the_same_study_without_ray(tmp_path: Path) -> None:
    study = make_study(budget={"trials": 6})
    on_ray = gantune.run(study, runs_dir=tmp_path / "ray", concurrency=1)
    root = tmp_path / "plain" / study.name
    root.mkdir(parents=True)
    conductor = Conductor(RunPaths(root), study, Silent())
    drive(conductor, Host())
    conductor.close()
    assert comparable(root) == comparable(on_ray.root)
    plain, ray = (optuna_trials(path, study) for path in (root, on_ray.root))
    assert [t.params for t in plain] == [t.params for t in ray]


def test_trials_end_by_their_verdict_as_without_ray(tmp_path: Path) -> None:
    stop = {"verdicts": ["mode_collapse", "generator_dominates", "mode_dropping"], "patience": 2}
    study = make_study(
        trial={"train": {"epochs": 8, "steps_per_epoch": 4, "batch_size": 8}},
        scheduler={"name": "none"},
        stop=stop,
    )
    root = run_study(study, silent, name="a", runs_dir=tmp_path, concurrency=1).root
    paths = RunPaths(tmp_path / "b" / "a")
    paths.root.mkdir(parents=True)
    conductor = Conductor(paths, study, Silent())
    drive(conductor, Host())
    conductor.close()
    assert comparable(root) == comparable(paths.root)
    ends = gantune.load(root).trials
    ended = ends[ends["stopped_by"] == "verdict"]
    assert (
        len(ended) and set(ended["status"]) == {"stopped"} and set(ended["epochs"]) <= {4, 5, 6, 7}
    )
    told = optuna_trials(root, study)
    assert all(told[n].state == TrialState.PRUNED for n in ended["number"])
    assert all(len(told[n].intermediate_values) >= 4 for n in ended["number"])


def test_more_trials_at_once_can_be_asked_for_than_it_began_with(tmp_path: Path) -> None:
    study = make_study(
        trial={"train": {"epochs": 30, "steps_per_epoch": 400, "batch_size": 8}},
        budget={"trials": 3},
        scheduler={"name": "none"},
    )
    paths = RunPaths(tmp_path / study.name)

    def ask() -> None:
        while not list(paths.root.glob("epochs/*.arrow")):
            time.sleep(0.1)
        change_concurrency(paths.root, 2)

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    run = gantune.run(study, runs_dir=tmp_path, concurrency=1)
    asking.join()
    assert run.trials["worker"].nunique() == 2
    assert (run.trials["epochs"] == 30).all()


@pytest.mark.long
def test_a_worker_that_is_killed_is_replaced_and_nothing_is_lost(tmp_path: Path) -> None:
    study = make_study(
        trial={"train": {"epochs": 60, "steps_per_epoch": 120, "batch_size": 64}},
        # It reports at each rung, however quickly it trains; alone it passes them all.
        scheduler={"grace_epochs": 5, "reduction_factor": 2},
        search={},
        budget={"trials": 1},
        max_failures=3,
    )
    killed: list[int] = []

    class Killer(Silent):
        """Kills the worker at its first two reports."""

        def recorded(self, number: int, records: Any, steps: Any) -> None:
            if len(killed) < 2 and records and records[-1]["epoch"] < 60:
                worker = next(p for p in _workers() if p.pid not in killed)
                killed.append(worker.pid)
                worker.kill()

    @contextmanager
    def progress(study: Study) -> Any:
        yield Killer()

    end = run_study(study, progress, runs_dir=tmp_path)
    run = gantune.load(end.root)
    assert len(killed) == 2
    assert list(run.epochs["epoch"]) == list(range(1, 61))
    assert run.trials["status"].tolist() == ["completed"]
    whole = tmp_path / "undisturbed"
    train = gantune.train(study, whole)
    for column in ("g_loss", "d_loss", "objective"):
        assert run.epochs[column].tolist() == train.epochs[column].tolist()


def test_data_are_read_once_and_not_by_trials(tmp_path: Path) -> None:
    """They travel through Ray, once to a node: on disk half is gone when the first trial begins."""
    data = write_idx(tmp_path / "digits", random_images(200, 8, 8))
    (images,) = data.iterdir()

    class Cuts(Silent):
        def began(self, spec: Any) -> None:
            os.truncate(images, 8_000)

    @contextmanager
    def progress(study: Study) -> Any:
        yield Cuts()

    study = make_study(
        trial={"data": {"name": "idx", "root": str(data)}}, max_failures=0, budget={"trials": 2}
    )
    run = gantune.load(run_study(study, progress, runs_dir=tmp_path, concurrency=2).root)
    # What a report shows of them stays with the run.
    assert read_real(RunPaths(run.root), study.trial.data) is not None
    assert set(run.trials["status"]) <= {"completed", "stopped"}, list(run.trials["error"])


def test_storage_that_fails_ends_the_run_and_fails_no_trial(tmp_path: Path) -> None:
    paths = RunPaths(tmp_path / "tiny")

    class Blocks(Silent):
        """Puts a file where trial 2's folder should be."""

        def began(self, spec: Any) -> None:
            if spec.number == 2:
                paths.trial(2).write_text("in the way")

    @contextmanager
    def progress(study: Study) -> Any:
        yield Blocks()

    study = make_study(budget={"trials": 5})
    with pytest.raises(gantune.RunError, match=r"cannot go on.*gantune resume"):
        run_study(study, progress, runs_dir=tmp_path, concurrency=1)
    assert set(gantune.load(paths.root).trials["status"]) == {"completed", "stopped", "interrupted"}
    paths.trial(2).unlink()
    assert resume_run(paths.root, silent, concurrency=1).status == "finished"
    whole = gantune.run(study, runs_dir=tmp_path / "whole", concurrency=1)
    assert comparable(whole.root) == comparable(paths.root)


def _workers() -> list[psutil.Process]:
    children = psutil.Process().children(recursive=True)
    return [p for p in children if p.name().startswith("ray::StudyTrain")]


def test_more_than_the_machine_has_is_refused_at_once(tmp_path: Path) -> None:
    for resources in ({"cpu": 1000}, {"gpu": 0.5}):
        study = make_study(resources=resources)
        with pytest.raises(gantune.UsageError, match="all of the machine is"):
            gantune.run(study, runs_dir=tmp_path)
    assert not list(tmp_path.iterdir())
    with pytest.raises(gantune.UsageError, match="this machine has no GPU that Ray can see"):
        gantune.run(make_study(trial={"device": "cuda"}), runs_dir=tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_plain_function_trainable_reports_every_epoch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ray import tune

    # Set for gantune's own runs, which need none of Tune's result files.
    monkeypatch.delenv("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS")

    study = make_study()
    tuner = tune.Tuner(
        gantune.trainable(study),
        param_space={
            "optimizer.generator.lr": tune.grid_search([1e-4, 1e-3]),
            "optimizer": {"discriminator": {"beta1": 0.1}},
        },
        run_config=tune.RunConfig(storage_path=str(tmp_path), name="own", verbose=0),
    )
    results = tuner.fit()
    assert len(results) == 2 and not results.errors
    for result in results:
        frame = result.metrics_dataframe
        assert list(frame["epoch"]) == [1, 2, 3, 4]
        assert {"g_loss", "d_loss", "d_acc", "frechet_distance", "best_objective"} <= set(frame)
    assert results[0].metrics["g_lr"] != results[1].metrics["g_lr"]


def test_opening_a_run_runs_nothing_of_it(tmp_path: Path) -> None:
    run = gantune.run(make_study(), runs_dir=tmp_path)
    bomb = b"cos\nsystem\n(S'touch " + os.fsencode(tmp_path / "ran") + b"'\ntR."
    for path in [*run.root.rglob("*.pkl"), *run.root.rglob("*.json"), run.root / "tune" / "x.pkl"]:
        if path.name not in ("run.json",) and "trials" not in path.parts:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(bomb)
    again = gantune.load(run.root)
    assert len(again.trials) == 4 and again.best().objective == run.best().objective
    assert not (tmp_path / "ran").exists()
