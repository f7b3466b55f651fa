"""A trial of a run, trained again from its records alone."""

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from conftest import make_study

import gantune
from gantune.columns import TIMES
from gantune.document import write_document
from gantune.host import Host
from gantune.lock import hold_lock
from gantune.paths import RunPaths
from gantune.runinfo import begin_session
from gantune.study import Study
from gantune.tuning.conductor import Conductor
from gantune.tuning.lifecycle import create_run, finish_run
from gantune.tuning.local import drive
from gantune.tuning.observers import observed

IDENTITY = {"trial_id", "number", "seq"}


def run_here(study: Study, root: Path) -> gantune.Run:
    """A whole study without Ray."""
    from gantune.api import silent

    paths = RunPaths(root)
    create_run(paths, study)
    with ExitStack() as stack:
        stack.enter_context(hold_lock(paths.lock))
        begin_session(paths.info, None, {})
        observer = stack.enter_context(observed(paths, study, silent))
        conductor = Conductor(paths, study, observer)
        drive(conductor, Host())
        finish_run(conductor, root)
    return gantune.load(root)


def numbers(run: gantune.Run, table: str, number: int) -> list[dict[str, Any]]:
    rows = getattr(run, table)
    rows = rows[rows["number"] == number].drop(columns=[*((TIMES | IDENTITY) & set(rows))])
    return rows.astype(object).where(rows.notna(), None).to_dict("records")


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> gantune.Run:
    study = make_study(
        trial={
            "train": {"epochs": 9, "steps_per_epoch": 3, "batch_size": 8},
            # Rungs are evaluated besides: the same ones must be when a trial is trained again.
            "eval": {"samples": 50, "every": 4},
        },
        scheduler={"grace_epochs": 2, "reduction_factor": 3},
        search={
            "optimizer.generator.lr": {"log_uniform": [1e-5, 1e-2]},
            "optimizer.discriminator.lr": {"same_as": "optimizer.generator.lr"},
            "generator.hidden": {"choice": [[8], [4, 4]]},
        },
        budget={"trials": 6},
    )
    return run_here(study, tmp_path_factory.mktemp("runs") / "tiny")


@pytest.mark.slow
def test_every_trial_trained_again_has_its_records(original: gantune.Run, tmp_path: Path) -> None:
    assert set(original.trials["status"]) == {"completed", "stopped"}
    for number in original.trials["number"]:
        study = gantune.trial_as_study(original, number)
        again = gantune.train(study, tmp_path / str(number))
        recorded = numbers(original, "epochs", number)
        assert len(again.epochs) == 9
        assert numbers(again, "epochs", 0)[: len(recorded)] == recorded
        steps = numbers(original, "steps", number)
        assert numbers(again, "steps", 0)[: len(steps)] == steps
        assert again.trials["seed"][0] == original.trials["seed"][number]
        if len(recorded) == 9:
            ends = [original.trial(number), again.best()]
            assert ends[0].checkpoint.read_bytes() == ends[1].checkpoint.read_bytes()


def test_as_a_study_file_it_is_the_same_trial(original: gantune.Run, tmp_path: Path) -> None:
    number = original.best().number
    study = gantune.trial_as_study(original, number)
    path = tmp_path / "trial.yaml"
    path.write_text(write_document(study.model_dump(mode="json", exclude_none=True)))
    loaded = gantune.load_study(path)
    assert loaded == study and loaded.search == {} and loaded.budget.trials == 1
    assert loaded.trial == original.best().config
    again = gantune.train(loaded, tmp_path / "again")
    assert numbers(again, "epochs", 0) == numbers(original, "epochs", number)


def test_longer_begins_alike(original: gantune.Run, tmp_path: Path) -> None:
    number = original.best().number
    study = gantune.trial_as_study(original, number, ["train.epochs=12"])
    longer = numbers(gantune.train(study, tmp_path / "r"), "epochs", 0)
    before = numbers(original, "epochs", number)
    assert len(longer) == 12
    assert [r["g_loss"] for r in longer[:9]] == [r["g_loss"] for r in before]


def test_bad_requests(original: gantune.Run) -> None:
    with pytest.raises(gantune.UsageError, match="tiny has no trial 17; it has 6 trials"):
        gantune.trial_as_study(original, 17)
    with pytest.raises(gantune.ConfigError, match="did you mean 'epochs'"):
        gantune.trial_as_study(original, 0, ["train.epoch=3"])


@pytest.mark.slow
def test_a_run_trained_again_can_be_trained_again(original: gantune.Run, tmp_path: Path) -> None:
    first = gantune.train(gantune.trial_as_study(original, 1), tmp_path / "first")
    second = gantune.train(gantune.trial_as_study(first, 0), tmp_path / "second")
    assert numbers(second, "epochs", 0) == numbers(first, "epochs", 0)
