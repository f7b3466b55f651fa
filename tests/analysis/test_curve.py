"""The best so far against what was spent: against a loop over records in order of arrival."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import make_study
from tables import Row, completed, write_run

import gantune


def records(seed: int) -> list[Row]:
    """Three trials that ran at once: their records arrive in turns."""
    rng = np.random.default_rng(seed)
    lengths = {0: 6, 1: 3, 2: 5}
    order = rng.permutation([n for n, length in lengths.items() for _ in range(length)])
    seen = dict.fromkeys(lengths, 0)
    rows = []
    for seq, number in enumerate(map(int, order)):
        seen[number] += 1
        rows.append(
            {
                "number": number,
                "seq": seq,
                "epoch": seen[number],
                "images_seen": 100 * (number + 1) * seen[number],
                "train_s": float(rng.uniform(1, 2)),
                "eval_s": None if rng.random() < 0.3 else float(rng.uniform(0, 1)),
                "objective": None if rng.random() < 0.3 else float(rng.normal()),
            }
        )
    return rows


def loop(rows: list[Row], per: str, lower: bool) -> list[tuple[float, float | None, int | None]]:
    spent, best, who, result = 0.0, None, None, []
    for row in rows:
        seconds = row["train_s"] + (row["eval_s"] or 0.0)
        images = 100 * (row["number"] + 1)
        spent += {"epochs": 1, "images": images, "seconds": seconds}[per]
        value = row["objective"]
        if value is not None and (best is None or (value < best if lower else value > best)):
            best, who = value, row["number"]
        result.append((spent, best, who))
    return result


def run_of(rows: list[Row], goal: str, root: Path) -> gantune.Run:
    study = make_study(objective={"metric": "mode_kl", "goal": goal})
    trials = [completed(number, 0.0, {}) for number in range(3)]
    # In the table in another order than they arrived: seq counts.
    return write_run(root, study, trials, rows)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("goal", ["minimize", "maximize"])
@pytest.mark.parametrize("per", ["epochs", "images", "seconds"])
def test_the_curve_and_the_time_to_a_value_are_those_of_a_loop(
    seed: int, goal: str, per: Any, tmp_path: Path
) -> None:
    rows = records(seed)
    run = run_of(rows, goal, tmp_path / "r")
    expected = loop(rows, per, goal == "minimize")
    found = run.curve(per)
    assert list(found.columns) == ["spent", "objective", "number"]
    assert found["spent"].to_list() == pytest.approx([spent for spent, _, _ in expected])
    best = [math.nan if value is None else value for _, value, _ in expected]
    np.testing.assert_array_equal(found["objective"], best)
    who = [
        None if n is None else int(n)
        for n in found["number"].astype(object).where(found["number"].notna(), None)
    ]
    assert who == [number for _, _, number in expected]
    known = [value for _, value, _ in expected if value is not None]
    for value in (known[0], known[-1], (known[0] + known[-1]) / 2):
        sign = 1 if goal == "minimize" else -1
        first = next(s for s, v, _ in expected if v is not None and sign * v <= sign * value)
        assert run.time_to(value, per) == pytest.approx(first)
    beyond = -100.0 if goal == "minimize" else 100.0
    assert run.time_to(beyond, per) is None


def test_a_run_without_a_record(tmp_path: Path) -> None:
    run = run_of([], "minimize", tmp_path / "r")
    assert run.curve().empty and run.time_to(1.0, "seconds") is None


def test_what_is_spent_must_be_one_of_three(tmp_path: Path) -> None:
    run = run_of(records(0), "minimize", tmp_path / "r")
    with pytest.raises(gantune.UsageError, match="per is one of epochs, images, seconds, has days"):
        run.curve("days")  # type: ignore[arg-type]
    with pytest.raises(gantune.UsageError, match="per is one of"):
        run.time_to(1.0, "days")  # type: ignore[arg-type]
