"""Runs side by side, and what is refused because its values mean different things."""

import io
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import make_study
from typer.testing import CliRunner

import gantune
from gantune.analysis.differences import study_leaves
from gantune.analysis.progress import spent_curve
from gantune.cli import app
from gantune.comparison import show_comparison
from gantune.paths import RunPaths
from gantune.storage import read_json, write_json
from gantune.study import Study
from gantune.terminal import Terminal
from gantune.tuning.conductor import Conductor
from gantune.tuning.lifecycle import create_run, finish_run, session_facts
from gantune.tuning.local import drive

DIGITS = {"data": {"name": "digits", "limit": 300}, "eval": {"samples": 60}}


def run_of(study: Study, root: Path) -> gantune.Run:
    """A whole study, in this process."""
    from gantune.api import Silent
    from gantune.engine.materials import make_materials
    from gantune.host import Host
    from gantune.runinfo import begin_session

    paths = RunPaths(root)
    create_run(paths, study)
    materials = make_materials(study.trial)
    begin_session(paths.info, None, session_facts(study, materials, 1))
    conductor = Conductor(paths, study, Silent())
    drive(conductor, Host(materials))
    finish_run(conductor, root)
    return gantune.load(root)


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> tuple[gantune.Run, gantune.Run]:
    """The same space, once with another base value, fixed beta1 and fewer trials."""
    folder = tmp_path_factory.mktemp("runs")
    first = make_study(trial=DIGITS)
    second = make_study(
        name="other",
        trial={**DIGITS, "train": {"epochs": 4, "steps_per_epoch": 3, "batch_size": 8}},
        search={"optimizer.generator.lr": {"log_uniform": [1e-5, 1e-2]}},
        budget={"trials": 3},
    )
    return run_of(first, folder / "first"), run_of(second, folder / "second")


def changed(run: gantune.Run, root: Path, **facts: Any) -> gantune.Run:
    """A copy of a run whose last session notes something else."""
    shutil.copytree(run.root, root)
    info = read_json(root / "run.json")
    for name, value in facts.items():
        session = info["sessions"][-1]
        session[name] = {**session[name], **value} if isinstance(value, dict) else value
    write_json(root / "run.json", info)
    return gantune.load(root)


def test_what_each_reached_is_what_its_own_tables_say(
    two: tuple[gantune.Run, gantune.Run],
) -> None:
    found = two[0].compare(two[1])
    assert found.metric == "frechet_distance" and found.goal == "minimize"
    assert list(found.runs.index) == ["first", "second"]
    for run in two:
        row = found.runs.loc[run.name]
        best = run.best()
        assert (row["best"], row["trial"], row["epoch"]) == (
            best.objective,
            best.number,
            best.epoch,
        )
        assert row["epochs"] == len(run.epochs) == run.trials["epochs"].sum()
        assert row["trials"] == len(run.trials) and row["samples"] == 60
        assert row["hash"] == run.info["sessions"][0]["features"]["hash"]
        curve = found.curves[found.curves["run"] == run.name]
        assert len(curve) == len(run.epochs) and curve["best"].iloc[-1] == best.objective
        assert row["seconds"] == pytest.approx(curve["seconds"].iloc[-1])
        # Counted another way: what each trial had shown when it ended.
        shown = run.epochs.groupby("number")["images_seen"].max().sum()
        assert curve["images"].iloc[-1] == shown


def test_the_budgets_are_the_curve_recomputed_by_hand(
    two: tuple[gantune.Run, gantune.Run],
) -> None:
    found = gantune.compare(two)
    least = min(len(run.epochs) for run in two)
    assert list(found.budgets.index)[-1] == least and len(found.budgets) >= 3
    for run in two:
        arrived = run.epochs.sort_values("seq")["frechet_distance"].to_list()
        for budget, value in found.budgets[run.name].items():
            assert value == min(arrived[: int(str(budget))])


def test_what_it_took_to_get_as_far_as_the_other_is_recomputed_by_hand(
    two: tuple[gantune.Run, gantune.Run],
) -> None:
    found = gantune.compare(two)
    target = max(run.best().objective for run in two)
    assert found.target == target
    assert list(found.reached.index) == ["epochs", "images", "seconds"]
    for run in two:
        arrived = run.epochs.sort_values("seq")["frechet_distance"].to_list()
        count = next(n for n, value in enumerate(arrived, 1) if value <= target)
        assert found.reached.loc["epochs", run.name] == count
        for per in ("epochs", "images", "seconds"):
            assert found.reached.loc[per, run.name] == run.time_to(target, per)


def test_what_differs_in_the_studies_is_named_by_path(
    two: tuple[gantune.Run, gantune.Run],
) -> None:
    rows = two[0].compare(two[1]).differences
    assert set(rows.index) == {
        "trial.train.steps_per_epoch",
        "trial.optimizer.generator.beta1",
        "trial.optimizer.discriminator.lr",
        "search.optimizer.generator.beta1",
        "search.optimizer.discriminator.lr",
        "budget.trials",
    }
    assert list(rows.loc["trial.train.steps_per_epoch"]) == [2, 3]
    assert rows.loc["trial.optimizer.generator.beta1"].isna().to_list() == [True, False]
    beta1 = rows.loc["search.optimizer.generator.beta1"]
    assert json.loads(beta1["first"]) == {"uniform": [0.0, 0.9]} and beta1["second"] is None


def test_a_metric_that_is_better_when_higher(two: tuple[gantune.Run, gantune.Run]) -> None:
    found = two[0].compare(two[1], metric="coverage")
    assert found.goal == "maximize"
    assert found.runs.loc["first", "best"] == two[0].epochs["coverage"].max()


def test_the_curve_of_interleaved_trials() -> None:
    epochs = pd.DataFrame(
        {
            "number": [0, 0, 1, 1],
            "epoch": [1, 2, 1, 2],
            "seq": [0, 2, 1, 3],
            "images_seen": [10, 20, 10, 30],
            "train_s": [1.0, 1.0, 2.0, 2.0],
            "eval_s": [0.5, np.nan, 0.5, 0.5],
            "loss": [5.0, 7.0, np.nan, 4.0],
        }
    )
    curve = spent_curve(epochs, "loss", "minimize")
    assert curve["epochs"].to_list() == [1, 2, 3, 4]
    assert curve["images"].to_list() == [10, 20, 30, 50]
    assert curve["seconds"].to_list() == [1.5, 4.0, 5.0, 7.5]
    assert curve["best"].to_list() == [5, 5, 5, 4]
    assert curve["number"].to_list() == [0, 0, 0, 1]
    assert spent_curve(epochs, "loss", "maximize")["best"].to_list() == [5, 5, 7, 7]


def test_distances_in_other_features_do_not_compare(
    two: tuple[gantune.Run, gantune.Run], tmp_path: Path
) -> None:
    other = changed(two[1], tmp_path / "x", features={"hash": "0123456789abcdef"})
    words = r"first is in classifier features \w{16} .*second in classifier features 0123456789abc"
    for metric in ("frechet_distance", "coverage", "nearest_neighbor_ratio"):
        with pytest.raises(gantune.IncomparableError, match=words) as caught:
            two[0].compare(other, metric=metric)
        assert caught.value.exit_code == 2
    # The digits' classes are its classifier's, too.
    with pytest.raises(gantune.IncomparableError, match="modes of"):
        two[0].compare(other, metric="modes")
    pixels = changed(two[1], tmp_path / "y", features={"name": "pixels", "hash": "0" * 16})
    with pytest.raises(gantune.IncomparableError, match="pixels features 0000"):
        two[0].compare(pixels)
    assert two[0].compare(pixels, metric="modes").runs.loc["y", "features"] == "pixels"


def test_distances_of_other_numbers_of_samples_do_not_compare(
    two: tuple[gantune.Run, gantune.Run], tmp_path: Path
) -> None:
    other = changed(two[1], tmp_path / "x", samples=1000)
    with pytest.raises(gantune.IncomparableError, match="number of samples, 60 and 1,000"):
        two[0].compare(other)
    assert list(two[0].compare(other, metric="mode_kl").runs["samples"]) == [60, 1000]


@pytest.mark.slow
def test_other_data_do_not_compare_by_any_metric(tmp_path: Path) -> None:
    ring = make_study(search={}, objective={"metric": "mode_kl"})
    wide = make_study(
        trial={"data": {"name": "ring", "points": 200, "std": 0.05}},
        search={},
        objective={"metric": "mode_kl"},
    )
    one, two = (gantune.train(s, tmp_path / n) for s, n in ((ring, "one"), (wide, "two")))
    for metric in ("mode_kl", "modes"):
        with pytest.raises(gantune.IncomparableError, match=r"data\.std is 0\.01 and 0\.05"):
            one.compare(two, metric=metric)
    with pytest.raises(gantune.IncomparableError, match="coordinates"):
        one.compare(two, metric="coverage")
    again = gantune.train(ring, tmp_path / "again")
    found = one.compare(again, metric="coverage")
    assert found.differences.empty and found.runs["best"].nunique() == 1


def test_a_run_without_a_value_is_there_without_one(
    two: tuple[gantune.Run, gantune.Run], tmp_path: Path
) -> None:
    paths = RunPaths(changed(two[1], tmp_path / "began").root)
    shutil.rmtree(paths.table("epochs"))
    found = two[0].compare(gantune.load(paths.root))
    assert pd.isna(found.runs.loc["began", "best"]) and found.runs.loc["began", "epochs"] == 0
    assert found.budgets.empty and set(found.curves["run"]) == {"first"}
    assert found.reached.isna().to_dict("list") == {"first": [False] * 3, "began": [True] * 3}
    out = io.StringIO()
    show_comparison(found, Terminal(file=out, width=200))
    assert "nan" not in out.getvalue()


def test_a_comparison_fits_a_narrow_terminal(
    two: tuple[gantune.Run, gantune.Run], tmp_path: Path
) -> None:
    third = changed(two[1], tmp_path / "third_run_of_a_longer_name")
    found = gantune.compare([*two, third])
    out = io.StringIO()
    show_comparison(found, Terminal(file=out, width=80, soft_wrap=True))
    lines = out.getvalue().splitlines()
    # No name is cut, and equal values are said once.
    assert all(str(path) in lines for path in found.differences.index)
    at = lines.index("budget.trials")
    assert lines[at + 1 : at + 3] == ["  first: 4", "  second, third_run_of_a_longer_name: 3"]
    head = next(line for line in lines if line.startswith("epochs ") and "first" in line)
    assert len(head) <= 80 and "third_run_of_a_longer_name" in head


def test_more_training_data_of_the_same_set_do_not_compare(
    two: tuple[gantune.Run, gantune.Run], tmp_path: Path
) -> None:
    more = make_study(trial={**DIGITS, "data": {"name": "digits", "limit": 301}}, search={})
    run = gantune.train(more, tmp_path / "more")
    with pytest.raises(gantune.IncomparableError, match=r"data\.limit is 300 and 301"):
        two[0].compare(run)


def test_a_run_without_its_features_compares_with_nothing(
    two: tuple[gantune.Run, gantune.Run], tmp_path: Path
) -> None:
    killed = changed(two[1], tmp_path / "killed")
    RunPaths(killed.root).info.unlink()
    with pytest.raises(gantune.IncomparableError, match="killed has not noted its features"):
        two[0].compare(gantune.load(killed.root))


def test_what_cannot_be_asked(two: tuple[gantune.Run, gantune.Run], tmp_path: Path) -> None:
    first, second = two
    with pytest.raises(gantune.UsageError, match="two runs or more"):
        first.compare()
    with pytest.raises(gantune.UsageError, match="stands twice"):
        first.compare(first)
    with pytest.raises(gantune.UsageError, match="g_loss is no metric"):
        first.compare(second, metric="g_loss")
    with pytest.raises(gantune.RunError, match="no trial of these runs has a high_quality"):
        first.compare(second, metric="high_quality")
    by_modes = make_study(trial=DIGITS, search={}, objective={"metric": "modes"})
    third = gantune.train(by_modes, tmp_path / "third")
    with pytest.raises(gantune.UsageError, match="different objectives: first frechet_distance"):
        first.compare(third)
    same_name = tmp_path / "first"
    shutil.copytree(first.root, same_name)
    found = first.compare(gantune.load(same_name))
    assert list(found.runs.index) == [str(first.root), str(same_name)]


def test_leaves_of_a_study_hold_every_path_once() -> None:
    leaves = study_leaves(make_study())
    assert leaves["trial.data.points"] == 200
    assert leaves["search.optimizer.generator.beta1"] == '{"uniform": [0.0, 0.9]}'
    assert "trial.optimizer.generator.beta1" not in leaves and "name" not in leaves
    search = {
        "generator.norm": {"choice": ["none", "batch"]},
        "generator.norm_eps": {"uniform": [0.1, 0.2], "when": {"generator.norm": "batch"}},
    }
    # Where the condition does not hold the base value does.
    assert "trial.generator.norm_eps" in study_leaves(make_study(search=search))


def test_the_command(two: tuple[gantune.Run, gantune.Run], tmp_path: Path) -> None:
    first, second = (str(run.root) for run in two)
    done = CliRunner().invoke(app, ["compare", first, second])
    assert done.exit_code == 0, done.output
    best = f"{two[0].best().objective:.4g}"
    for part in ("frechet_distance (minimize)", best, "budget.trials", "first", "second"):
        assert part in done.output, part
    reached = two[0].compare(two[1]).target
    assert f"as good as {reached:.4g}, the worst run's best" in done.output
    assert "search.optimizer.generator.beta1" in done.output and '"uniform"' in done.output
    other = changed(two[1], tmp_path / "x", samples=1000)
    refused = CliRunner().invoke(app, ["compare", first, str(other.root)])
    assert isinstance(refused.exception, gantune.IncomparableError)
