"""Confirmation over seeds: medians by hand, and intervals that keep their promise."""

import statistics
from pathlib import Path

import numpy as np
import pytest
from test_confirm import with_base
from test_replay import run_to_its_end, study

import gantune
from gantune.analysis.seeds import ENOUGH, interval
from gantune.errors import RunError
from gantune.paths import RunPaths
from gantune.tuning.lifecycle import create_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> gantune.Run:
    root = tmp_path_factory.mktemp("confirmed") / "r"
    plan = with_base(1).model_copy(update={"confirm": with_base().confirm})
    create_run(RunPaths(root), plan)
    run_to_its_end(root, plan)
    return gantune.load(root)


def test_medians_and_winner_by_hand(run: gantune.Run) -> None:
    found = run.seeds()
    values: dict[int, list[float]] = {}
    for _, row in run.repeats.iterrows():
        value = row["objective"] if row["status"] == "completed" else float("inf")
        values.setdefault(int(row["confirms"]), []).append(value)
    assert len(values) == len(found.summary) >= 2
    medians = {number: statistics.median(of) for number, of in values.items()}
    for _, row in found.summary.iterrows():
        of = sorted(values[row["number"]])
        assert row["median"] == medians[row["number"]] == of[1]
        assert (row["q25"], row["q75"]) == (of[0], of[2])  # of three: the first and the last
        assert row["seeds"] == 3 and row["failure_rate"] == sum(map(np.isinf, of)) / 3
        trial = run.trials[run.trials["number"] == row["number"]].iloc[0]
        assert row["searched"] == trial["objective"]
        assert row["is_base"] == (row["number"] == 0)
    assert found.winner == min(medians, key=lambda number: medians[number])
    assert found.summary["median"].is_monotonic_increasing


def test_the_best_trial_is_the_winners_best_repeat(run: gantune.Run) -> None:
    number, winner = run.best_number(), run.seeds().winner
    repeats = run.repeats[run.repeats["confirms"] == winner]
    best = repeats.sort_values("objective").iloc[0]
    assert number == best["number"] and best["confirms"] == winner
    # Not the lowest value of all: that one was picked for its luck.
    assert run.repeats["objective"].min() >= run.trials["objective"].min()


def test_three_seeds_tell_nothing_apart_and_the_words_say_so(run: gantune.Run) -> None:
    found = run.seeds()
    assert not found.pairs["told_apart"].any()
    assert "these seeds do not tell it from" in str(found)
    others = [number for number in found.summary["number"] if number != found.winner]
    for number in others:
        assert ("the base trial" if number == 0 else f"trial {number}") in str(found)


def test_a_run_without_a_confirmation_says_how_to_make_one(tmp_path: Path) -> None:
    create_run(RunPaths(tmp_path / "r"), study())
    run_to_its_end(tmp_path / "r", study())
    with pytest.raises(RunError, match=r"resume .* --confirm 3x5"):
        gantune.load(tmp_path / "r").seeds()


def test_an_interval_by_hand() -> None:
    # All differences of medians lie between -4 and -2, whatever is drawn.
    a, b = np.array([1.0, 2.0, 3.0, 2.0, 1.0]), np.array([5.0, 5.0, 5.0, 5.0, 5.0])
    difference, low, high = interval(a, b)
    assert difference == -3.0 and (low, high) == (-4.0, -2.0)
    assert interval(a, a) == (0.0, 0.0, 0.0)
    assert interval(b, a) == (3.0, 2.0, 4.0)


def test_failures_are_worse_than_any_value_and_equal_to_each_other() -> None:
    inf = float("inf")
    fails, works = np.full(5, inf), np.arange(5.0)
    assert interval(fails, fails) == (0.0, 0.0, 0.0)
    difference, low, high = interval(works, fails)
    assert difference == low == high == -inf
    mixed = np.array([inf, inf, 1.0, 2.0, 3.0])
    assert interval(mixed, works)[2] == inf  # they can be the worse ones


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [ENOUGH, 8])
@pytest.mark.parametrize("shape", ["normal", "lognormal"])
def test_equals_are_told_apart_as_rarely_as_promised(seeds: int, shape: str) -> None:
    rng = np.random.default_rng(seeds)
    wrong = right = 0
    for _ in range(200):
        a, b = getattr(rng, shape)(size=(2, seeds))
        _, low, high = interval(a, b)
        wrong += low > 0 or high < 0
        _, low, high = interval(a, b + 4)
        right += high < 0
    # 5% of 200 and three standard errors; and what is far apart is mostly seen.
    assert wrong <= 10 + 3 * (200 * 0.05 * 0.95) ** 0.5
    assert right > 150
