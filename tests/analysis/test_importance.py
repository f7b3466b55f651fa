"""Shares of variance: against Optuna called by hand, and on planted effects."""

from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pandas as pd
import pytest
from conftest import make_study
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.importance import FanovaImportanceEvaluator, get_param_importances
from tables import Row, completed, unrung, write_run

import gantune
from gantune.analysis.first_rung import values_at_first_rung
from gantune.analysis.importance import MOST, importance_table

G_LR, D_LR = "optimizer.generator.lr", "optimizer.discriminator.lr"
BETA, D_BETA = "optimizer.generator.beta1", "optimizer.discriminator.beta1"
LR = {"log_uniform": [1e-5, 1e-2]}
UNIFORM = {"uniform": [0.0, 0.9]}

Point = dict[str, Any]


def by_hand(
    points: list[Point], values: list[float], domains: dict[str, BaseDistribution]
) -> dict[str, float]:
    """Optuna's fANOVA on a study made of these trials."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study()
    for point, value in zip(points, values, strict=True):
        present = {name: domain for name, domain in domains.items() if name in point}
        study.add_trial(optuna.trial.create_trial(params=point, distributions=present, value=value))
    evaluator = FanovaImportanceEvaluator(seed=0)
    return get_param_importances(study, evaluator=evaluator, params=list(domains))


def draws(count: int, seed: int = 0) -> list[tuple[float, float]]:
    rng = np.random.default_rng(seed)
    return [(float(10 ** rng.uniform(-5, -2)), float(rng.uniform(0.0, 0.9))) for _ in range(count)]


@pytest.mark.slow
def test_it_is_optunas_on_a_study_built_by_hand(tmp_path: Path) -> None:
    points = [{G_LR: lr, BETA: beta} for lr, beta in draws(30)]
    values = [(np.log10(p[G_LR]) + 3.5) ** 2 + 0.2 * p[BETA] for p in points]
    study = unrung({G_LR: LR, BETA: UNIFORM, D_BETA: {"same_as": BETA}})
    trials = [
        completed(n, v, {**p, D_BETA: p[BETA]})
        for n, (p, v) in enumerate(zip(points, values, strict=True))
    ]
    found = write_run(tmp_path / "r", study, trials).importance()
    domains: dict[str, BaseDistribution] = {
        BETA: FloatDistribution(0.0, 0.9),
        G_LR: FloatDistribution(1e-5, 1e-2, log=True),
    }
    assert found.to_dict() == pytest.approx(by_hand(points, values, domains), rel=1e-12)
    assert list(found.index) == [G_LR, BETA] and found.sum() == pytest.approx(1)
    assert found.name == "importance" and found.attrs == {"trials": 30, "warning": None}


@pytest.mark.slow
def test_what_is_multiplied_counts_by_its_ratio(tmp_path: Path) -> None:
    """The product hangs together with the other rate; the ratio was drawn by itself."""
    rng = np.random.default_rng(1)
    points = [(10 ** rng.uniform(-5, -2), 10 ** rng.uniform(-1, 1)) for _ in range(30)]
    values = [float(np.log10(ratio) ** 2) for _, ratio in points]
    study = unrung({G_LR: LR, D_LR: {"log_uniform": [0.1, 10], "times": G_LR}})
    trials = [
        completed(n, v, {G_LR: lr, D_LR: lr * ratio})
        for n, ((lr, ratio), v) in enumerate(zip(points, values, strict=True))
    ]
    table = importance_table(write_run(tmp_path / "r", study, trials))
    shares = table.set_index("parameter")
    domains: dict[str, BaseDistribution] = {
        G_LR: FloatDistribution(1e-5, 1e-2, log=True),
        # Before the other, as its name has it: the order of columns is part of a forest's chance.
        "a ratio": FloatDistribution(0.1, 10, log=True),
    }
    expected = by_hand([{G_LR: lr, "a ratio": r} for lr, r in points], values, domains)
    assert shares["importance"][D_LR] == pytest.approx(expected["a ratio"], rel=1e-6)
    assert shares["note"][D_LR] == f"as its ratio to {G_LR}" and shares["note"][G_LR] == ""


def conditional(count: int) -> tuple[list[Point], list[float], list[Row]]:
    """The weight of a penalty, which matters and which only some trials have."""
    rng = np.random.default_rng(2)
    points, values = [], []
    for lr, _ in draws(count, seed=3):
        point: Point = {G_LR: lr, "penalty.name": ["none", "r1"][int(rng.integers(2))]}
        value = 0.1 * np.log10(lr)
        if point["penalty.name"] == "r1":
            point["penalty.weight"] = float(10 ** rng.uniform(-2, 2))
            value += abs(np.log10(point["penalty.weight"]))
        points.append(point)
        values.append(float(value))
    rows = [completed(n, v, p) for n, (p, v) in enumerate(zip(points, values, strict=True))]
    return points, values, rows


CONDITIONAL = {
    G_LR: LR,
    "penalty.name": {"choice": ["none", "r1"]},
    "penalty.weight": {"log_uniform": [1e-2, 1e2], "when": {"penalty.name": "r1"}},
}


@pytest.mark.slow
def test_a_conditional_one_counts_within_the_trials_that_have_it(tmp_path: Path) -> None:
    points, values, rows = conditional(40)
    table = importance_table(write_run(tmp_path / "r", unrung(CONDITIONAL), rows))
    shares = table.set_index("parameter")
    names: dict[str, BaseDistribution] = {
        G_LR: FloatDistribution(1e-5, 1e-2, log=True),
        "penalty.name": CategoricalDistribution(["none", "r1"]),
    }
    having = [index for index, point in enumerate(points) if "penalty.weight" in point]
    within = by_hand(
        [points[index] for index in having],
        [values[index] for index in having],
        {**names, "penalty.weight": FloatDistribution(1e-2, 1e2, log=True)},
    )
    assert shares["importance"]["penalty.weight"] == pytest.approx(within["penalty.weight"])
    assert shares["importance"]["penalty.weight"] > 0.8
    assert shares["trials"].to_dict() == {
        G_LR: 40,
        "penalty.name": 40,
        "penalty.weight": len(having),
    }
    free = shares[~shares["is_conditional"]]
    assert free["importance"].sum() == pytest.approx(1)
    everywhere = by_hand([{k: p[k] for k in names} for p in points], values, names)
    assert free["importance"].to_dict() == pytest.approx(everywhere)


@pytest.mark.slow
def test_few_trials_are_warned_of_each_for_itself(tmp_path: Path) -> None:
    _, _, rows = conditional(30)
    run = write_run(tmp_path / "r", unrung(CONDITIONAL), rows)
    notes = importance_table(run).set_index("parameter")["note"]
    having = sum("penalty.weight" in row["parameters"] for row in rows)
    assert having < 20 and run.importance().attrs["warning"] is None
    assert notes["penalty.weight"] == f"rests on {having} trials: a hint, no more"
    assert notes[G_LR] == ""
    less = write_run(tmp_path / "less", unrung(CONDITIONAL), rows[:19]).importance()
    assert less.attrs == {"trials": 19, "warning": "rests on 19 trials: a hint, no more"}


@pytest.mark.slow
def test_a_conditional_one_of_a_single_trial_says_nothing_and_no_error(tmp_path: Path) -> None:
    _, _, rows = conditional(12)
    having = [row for row in rows if "penalty.weight" in row["parameters"]]
    others = [row for row in rows if "penalty.weight" not in row["parameters"]]
    run = write_run(tmp_path / "r", unrung(CONDITIONAL), [*others, having[0]])
    table = importance_table(run).set_index("parameter")
    assert np.isnan(table["importance"]["penalty.weight"])
    assert table["note"]["penalty.weight"].startswith("nothing to compare")
    assert set(run.importance().index) == {G_LR, "penalty.name"}


def rung_run(root: Path, count: int = 30) -> gantune.Run:
    """At the first rung the learning rate decides; the survivors differ by beta alone."""
    study = make_study(search={G_LR: LR, BETA: UNIFORM}, scheduler={"grace_epochs": 1})
    trials, epochs = [], []
    for number, (lr, beta) in enumerate(draws(count)):
        early = (np.log10(lr) + 3.5) ** 2
        survives = early < 0.1
        epochs.append(
            {"number": number, "epoch": 1, "rung": 0, "objective": early, "best_objective": early}
        )
        if survives:
            late = -1 - beta
            epochs.append({"number": number, "epoch": 4, "objective": late, "best_objective": late})
        end = {"status": "completed" if survives else "stopped", "stopped_by": "asha"}
        objective = epochs[-1]["best_objective"]
        trials.append({**completed(number, objective, {G_LR: lr, BETA: beta}), **end})
    return write_run(root, study, trials, epochs)


def test_it_is_on_all_trials_at_the_first_rung_not_on_the_survivors(tmp_path: Path) -> None:
    run = rung_run(tmp_path / "r")
    survivors = int((run.trials["status"] == "completed").sum())
    assert 3 < survivors < 15
    found = run.importance()
    assert found.attrs["trials"] == 30
    assert found.index[0] == G_LR and found[G_LR] > 0.8


@pytest.mark.slow
def test_what_makes_trials_diverge_matters(tmp_path: Path) -> None:
    """Above a learning rate every trial diverges; below it nothing but beta plays a part."""
    trials = []
    for number, (lr, beta) in enumerate(draws(40)):
        row = completed(number, beta, {G_LR: lr, BETA: beta})
        if lr > 1e-3:
            row = {**row, "status": "diverged", "objective": None, "verdict": "diverged"}
        trials.append(row)
    run = write_run(tmp_path / "r", unrung({G_LR: LR, BETA: UNIFORM}), trials)
    whole = run.importance()
    kept = [row for row in trials if row["status"] == "completed"]
    without = write_run(tmp_path / "kept", run.study, kept).importance()
    assert without[G_LR] < 0.1 and whole[G_LR] > 0.4
    assert whole.attrs["trials"] == 40


def test_choices_that_are_lists_null_or_of_several_kinds(tmp_path: Path) -> None:
    choices = {"generator.hidden": {"choice": [[8], [4, 4]]}, "eval.samples": {"choice": [None, 9]}}
    study = unrung(choices, objective={"metric": "mode_entropy"})
    trials = [
        completed(n, float(n % 2), {"generator.hidden": [[8], [4, 4]][n % 2], "eval.samples": s})
        for n, s in enumerate([None, 9, 9, None, 9, None, None, 9])
    ]
    run = write_run(tmp_path / "r", study, trials)
    found = run.importance()
    assert found.index[0] == "generator.hidden" and found["generator.hidden"] > 0.9


NOTHING: dict[str, tuple[list[Row], str]] = {
    "no trial": ([], "no trial has a value at the first rung: nothing to compare"),
    "one trial": (
        [completed(0, 1.0, {G_LR: 1e-3})],
        "1 trial has a value at the first rung: nothing to compare",
    ),
    "constant": (
        [completed(n, 1.0, {G_LR: 1e-3 / (n + 1)}) for n in range(5)],
        "the objective of all 5 trials is the same at the first rung",
    ),
    "no value": (
        [completed(n, None, {G_LR: 1e-3 / (n + 1)}) for n in range(5)],
        "no trial has a value at the first rung: nothing to compare",
    ),
    "all diverged": (
        [{**completed(n, None, {G_LR: 1e-3}), "status": "diverged"} for n in range(5)],
        "no trial has a value at the first rung: nothing to compare",
    ),
}


@pytest.mark.parametrize("case", NOTHING)
def test_where_nothing_can_be_said_it_is_empty_and_says_why(case: str, tmp_path: Path) -> None:
    rows, why = NOTHING[case]
    run = write_run(tmp_path / "r", unrung({G_LR: LR}), rows)
    found = run.importance()
    assert found.empty and found.name == "importance" and found.attrs["warning"] == why
    table = importance_table(run)
    assert table.empty
    assert list(table.columns) == ["parameter", "importance", "trials", "is_conditional", "note"]


def test_a_study_that_searches_nothing(tmp_path: Path) -> None:
    run = write_run(tmp_path / "r", unrung({}), [completed(n, float(n), {}) for n in range(3)])
    assert run.importance().empty
    assert run.importance().attrs["warning"] == "nothing is searched"


def test_the_same_point_again_and_again(tmp_path: Path) -> None:
    """Nothing varies but chance: no parameter gets a share of it."""
    rows = [completed(n, float(n), {G_LR: 1e-3, BETA: 0.5}) for n in range(6)]
    run = write_run(tmp_path / "r", unrung({G_LR: LR, BETA: UNIFORM}), rows)
    assert run.importance().empty
    assert importance_table(run)["note"].str.startswith("nothing to compare").all()


@pytest.mark.long
def test_a_big_run_is_thinned_evenly(tmp_path: Path) -> None:
    rows = [
        completed(n, np.log10(lr), {G_LR: lr, BETA: beta})
        for n, (lr, beta) in enumerate(draws(2 * MOST))
    ]
    run = write_run(tmp_path / "r", unrung({G_LR: LR, BETA: UNIFORM}), rows)
    every_other = write_run(tmp_path / "half", run.study, rows[::2])
    whole = run.importance()
    assert whole.attrs["trials"] == MOST
    pd.testing.assert_series_equal(whole, every_other.importance())


@pytest.mark.slow
def test_it_is_silent_and_leaves_optunas_own_settings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.INFO)
    try:
        _, _, rows = conditional(10)
        first = write_run(tmp_path / "r", unrung(CONDITIONAL), rows).importance()
        assert optuna.logging.get_verbosity() == optuna.logging.INFO
    finally:
        optuna.logging.set_verbosity(before)
    written = capsys.readouterr()
    assert written.out == written.err == ""
    pd.testing.assert_series_equal(gantune.load(tmp_path / "r").importance(), first)


def loop(run: gantune.Run, study: Any) -> dict[int, float]:
    """What trials had at the first rung, record by record."""
    values: dict[int, float] = {}
    diverged = []
    epochs = run.epochs.to_dict("records")
    for trial in run.trials.to_dict("records"):
        mine = [row for row in epochs if row["number"] == trial["number"]]
        at = [row for row in mine if study.is_rung(row) and row["verdict"] != "diverged"]
        if at:
            values[trial["number"]] = at[0]["best_objective"]
        elif trial["status"] == "diverged":
            diverged.append(trial["number"])
        elif trial["status"] == "completed" or trial["stopped_by"] == "verdict":
            values[trial["number"]] = trial["objective"]
    values = {number: value for number, value in values.items() if not pd.isna(value)}
    worst = max(values.values()) if study.lower else min(values.values())
    return {**values, **dict.fromkeys(diverged, worst)}


class Rule:
    """How the loop tells a rung."""

    def __init__(self, lower: bool, second: float | None) -> None:
        self.lower, self.second = lower, second

    def is_rung(self, row: dict[str, Any]) -> bool:
        if self.second is not None:
            return bool(row["wall_s"] >= self.second)
        return not pd.isna(row["rung"]) and row["rung"] == 0


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("goal", ["minimize", "maximize"])
@pytest.mark.parametrize("unit", ["epochs", "seconds"])
def test_the_values_at_the_first_rung_are_those_of_a_loop(
    seed: int, goal: str, unit: str, tmp_path: Path
) -> None:
    rng = np.random.default_rng(seed)
    scheduler: dict[str, Any] = {"grace_epochs": 2}
    if unit == "seconds":
        scheduler = {"unit": unit, "grace_seconds": 2.5, "max_seconds": 9}
    study = make_study(
        search={G_LR: LR},
        objective={"metric": "mode_kl", "goal": goal},
        scheduler=scheduler,
        trial={"train": {"epochs": 8, "steps_per_epoch": 2, "batch_size": 8}},
    )
    ends = [
        ("completed", None, 8),
        ("stopped", "asha", 2),
        ("stopped", "verdict", 1),
        ("stopped", "user", 1),
        ("diverged", None, 1),
        ("diverged", None, 2),
        ("diverged", None, 5),
        ("failed", None, 1),
        ("failed", None, 4),
        ("completed", None, 1),
        ("running", None, 3),
        ("running", None, 1),
    ]
    trials, epochs = [], []
    for number in range(30):
        status, by, length = ends[number % len(ends)]
        for epoch in range(1, length + 1):
            last = epoch == length and status == "diverged"
            value = None if last or rng.random() < 0.1 else float(rng.normal())
            epochs.append(
                {
                    "number": number,
                    "epoch": epoch,
                    "rung": 0 if epoch == 2 and length > 1 and unit == "epochs" else None,
                    "wall_s": epoch * 1.1,
                    "objective": value,
                    "best_objective": value,
                    "verdict": "diverged" if last else "healthy",
                }
            )
        mine = [row["objective"] for row in epochs if row["number"] == number]
        known = [value for value in mine if value is not None]
        trials.append(
            {
                "number": number,
                "status": status,
                "stopped_by": by,
                "epochs": None if status == "running" else length,
                "objective": min(known, default=None),
                "verdict": "healthy",
                "parameters": {G_LR: 1e-3},
            }
        )
    run = write_run(tmp_path / "r", study, trials, epochs)
    rule = Rule(goal == "minimize", 2.5 if unit == "seconds" else None)
    expected = loop(run, rule)
    found = values_at_first_rung(run)
    assert found.to_dict() == expected and len(expected) > 15
    assert list(found.index) == sorted(expected)


def test_rungs_in_seconds_beyond_the_end_are_none(tmp_path: Path) -> None:
    scheduler = {"unit": "seconds", "grace_seconds": 9, "max_seconds": 9}
    study = make_study(search={G_LR: LR}, scheduler=scheduler)
    assert study.rungs == ()
    rows = [completed(n, float(n), {G_LR: 1e-3}) for n in range(3)]
    epochs = [{"number": 0, "epoch": 1, "wall_s": 9.5, "objective": 7.0, "best_objective": 7.0}]
    found = values_at_first_rung(write_run(tmp_path / "r", study, rows, epochs))
    assert found.to_dict() == {0: 0.0, 1: 1.0, 2: 2.0}
