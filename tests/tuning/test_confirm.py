"""The best configurations again with fresh seeds, as trials of the same study."""

import random
from pathlib import Path
from typing import Any

import pytest
from conftest import make_study
from test_replay import check_consistent, run_to_its_end, run_with_slots, study, tables
from toy import Crasher, ToyHost, crashing

import gantune
from gantune.api import Silent
from gantune.errors import ConfigError, UsageError
from gantune.paths import RunPaths
from gantune.records import read_table
from gantune.study import Study
from gantune.tuning.conductor import Conductor
from gantune.tuning.extension import Extension, extended
from gantune.tuning.lifecycle import create_run
from gantune.tuning.local import drive

# A process that dies closes no files.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

CONFIRM = {"top": 2, "seeds": 3}


def ends(root: Path) -> list[dict[str, Any]]:
    """Last rows of trials, in order of their numbers."""
    rows = read_table(RunPaths(root).table("trials")).to_pylist()
    return sorted((r for r in rows if r["status"] != "running"), key=lambda row: row["number"])


def with_base(seed: int = 0, **sections: Any) -> Study:
    """A study whose base trial is its trial 0."""
    return study(seed=seed, start=None, confirm=CONFIRM, **sections)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_best_and_the_base_run_again_to_their_full_length(tmp_path: Path, seed: int) -> None:
    run_to_its_end(tmp_path, with_base(seed))
    rows = ends(tmp_path)
    searched, repeats = rows[:7], rows[7:]
    assert all(row["confirms"] is None for row in searched)
    scored = [row for row in searched if row["objective"] is not None]
    by_value = sorted(scored, key=lambda row: row["objective"])
    chosen = [row["number"] for row in by_value[:2]]
    chosen += [0] if 0 not in chosen else []
    # A seed of each before the next: what ends early has as many of each.
    assert [row["confirms"] for row in repeats] == 3 * chosen
    for index, number in enumerate(chosen):
        of = repeats[index :: len(chosen)]
        assert {row["parameters"] for row in of} == {rows[number]["parameters"]}
        assert [row["seed"] for row in of] == [row["seed"] for row in repeats[:: len(chosen)]]
    assert len({row["seed"] for row in rows}) == 7 + 3
    # No rung ends them: what does not diverge is complete.
    assert {row["status"] for row in repeats} <= {"completed", "diverged"}
    assert any(row["status"] == "completed" for row in repeats)


def test_verdicts_that_end_trials_of_the_search_end_no_repeat(tmp_path: Path) -> None:
    stop = {"verdicts": ["mode_collapse"], "patience": 2}
    run_to_its_end(tmp_path, with_base(stop=stop, scheduler={"name": "none"}))
    rows = ends(tmp_path)
    collapsed = [row for row in rows if row["number"] % 3 == 1]
    assert {row["stopped_by"] for row in collapsed if row["confirms"] is None} == {"verdict"}
    assert any(row["confirms"] is not None for row in collapsed)
    assert all(row["stopped_by"] is None for row in rows if row["confirms"] is not None)


@pytest.mark.slow
@pytest.mark.parametrize("studies", [6, pytest.param(60, marks=pytest.mark.long)])
def test_crashes_change_nothing(tmp_path: Path, studies: int) -> None:
    run_to_its_end(tmp_path / "undisturbed", with_base())
    expected = tables(tmp_path / "undisturbed")
    crashes = 0
    for number in range(studies):
        rng, root = random.Random(number), tmp_path / str(number)
        crasher = Crasher(rng, average=rng.choice([15, 40]))
        with crashing(crasher):
            crashes += run_to_its_end(root, with_base(), crasher)
        assert tables(root) == expected, number
    assert crashes > 3 * studies


@pytest.mark.parametrize("number", range(4))
def test_with_several_slots_repeats_wait_for_the_search(tmp_path: Path, number: int) -> None:
    rng = random.Random(number)
    crasher = Crasher(rng, average=60)
    with crashing(crasher):
        run_with_slots(tmp_path, with_base(), 3, crasher, rng)
    rows = ends(tmp_path)
    check_consistent(tmp_path, len(rows))
    scored = [row for row in rows[:7] if row["objective"] is not None]
    best = sorted(scored, key=lambda row: row["objective"])[:2]
    assert {row["number"] for row in best} <= {row["confirms"] for row in rows[7:]}
    assert len(rows) in (7 + 6, 7 + 9)


@pytest.mark.slow
def test_what_is_confirmed_later_is_confirmed_the_same_way(tmp_path: Path) -> None:
    run_to_its_end(tmp_path / "at once", with_base())
    root, plan = tmp_path / "later", study(start=None)
    run_to_its_end(root, plan)
    for asked in ("1x2", "2x2", "2x3"):
        plan = extended(plan, RunPaths(root), Extension(confirm=asked))
        run_to_its_end(root, plan)

    def found(folder: Path) -> Any:
        rows = ends(folder)
        return sorted((r["confirms"] or -1, r["seed"], r["objective"]) for r in rows)

    assert found(root) == found(tmp_path / "at once")


@pytest.mark.slow
def test_a_search_that_goes_on_has_its_new_best_confirmed(tmp_path: Path) -> None:
    plan = with_base()
    run_to_its_end(tmp_path, plan)
    before = ends(tmp_path)
    run_to_its_end(tmp_path, extended(plan, RunPaths(tmp_path), Extension(trials="+8")))
    rows = ends(tmp_path)
    assert rows[: len(before)] == before
    searched = [row for row in rows if row["confirms"] is None]
    assert len(searched) == 15
    scored = [row for row in searched if row["objective"] is not None]
    for row in sorted(scored, key=lambda row: row["objective"])[:2]:
        assert sum(r["confirms"] == row["number"] for r in rows) == 3


def test_a_spent_budget_ends_the_search_and_its_best_are_confirmed(tmp_path: Path) -> None:
    plan = with_base(budget={"trials": 50, "epochs": 12})
    run_to_its_end(tmp_path, plan)
    rows = ends(tmp_path)
    searched = [row for row in rows if row["confirms"] is None]
    assert 12 <= sum(row["epochs"] for row in searched) < 14
    assert sum(row["confirms"] is not None for row in rows) in (6, 9)
    assert all(row["stopped_by"] is None for row in rows if row["confirms"] is not None)


@pytest.mark.slow
def test_who_stops_a_run_stops_its_repeats_too(tmp_path: Path) -> None:
    plan = with_base()
    paths = RunPaths(tmp_path)
    conductor, host = Conductor(paths, plan, Silent()), ToyHost()
    for _ in range(8):  # seven of the search and one that confirms
        spec = conductor.ask()
        assert spec is not None
        handle = host.open(spec)
        goes_on = True
        while goes_on:
            progress = host.advance(handle, spec.epochs, 0)
            goes_on = conductor.observe(spec.number, progress.records, progress.steps, "w")
        conductor.finish(spec.number, failed=False)
    paths.control.mkdir()
    (paths.control / "stop-all").touch()
    assert conductor.ask() is None and not conductor.awaits and conductor.was_stopped
    conductor.close()
    (paths.control / "stop-all").unlink()
    run_to_its_end(tmp_path, plan)
    run_to_its_end(tmp_path / "undisturbed", plan)
    assert tables(tmp_path)["trials"] == tables(tmp_path / "undisturbed")["trials"]


def test_equal_configurations_are_confirmed_once(tmp_path: Path) -> None:
    search = {"optimizer.generator.lr": {"choice": [1e-3]}}
    run_to_its_end(tmp_path, study(confirm=CONFIRM, search=search, scheduler={"name": "none"}))
    assert len({row["confirms"] for row in ends(tmp_path)[7:]}) == 1


def test_nothing_is_confirmed_where_nothing_has_a_value(tmp_path: Path) -> None:
    create_run(RunPaths(tmp_path / "r"), with_base())
    conductor = Conductor(RunPaths(tmp_path / "r"), with_base(), Silent())
    while (spec := conductor.ask()) is not None:
        conductor.finish(spec.number, failed=True)
    conductor.close()
    rows = ends(tmp_path / "r")
    # But the base: that it fails with every seed is worth knowing.
    assert [row["confirms"] for row in rows] == [None] * 7 + [0] * 3
    seeds = gantune.load(tmp_path / "r").seeds()
    assert seeds.winner is None and seeds.summary["failure_rate"].tolist() == [1.0]
    assert "every configuration fails" in str(seeds)


def test_a_driven_study_needs_no_ray_to_confirm(tmp_path: Path) -> None:
    conductor = Conductor(RunPaths(tmp_path), with_base(), Silent())
    left = conductor.remaining
    drive(conductor, ToyHost())
    assert left == 7 + 3 * 3 and conductor.remaining == 0
    conductor.close()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"confirm": {"top": 3, "seeds": 1}}, "seeds: 1 tells nothing of the spread: 2 or more"),
        ({"confirm": {"top": 0}}, "greater than or equal to 1"),
        (
            {"confirm": CONFIRM, "search": {"seed": {"int": [0, 9]}}},
            "confirmed with fresh seeds: search no seed",
        ),
    ],
)
def test_what_cannot_be_confirmed_is_said_before(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make_study(**changes)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ("3", "write 3x5"),
        ("2x1", "is no more: the run has 2x3"),
        ("2x3", "is no more: the run has 2x3"),
        ("1x9", "is no more"),
    ],
)
def test_less_to_confirm_is_refused(tmp_path: Path, asked: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        extended(with_base(), RunPaths(tmp_path), Extension(confirm=asked))


def test_one_seed_is_refused_on_the_command_line_too(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--confirm 2x1: seeds: 1 tells nothing of the spread"):
        extended(make_study(), RunPaths(tmp_path), Extension(confirm="2x1"))
