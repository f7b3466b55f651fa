"""Two objectives, and constraints that the best trial has to meet."""

import random
from itertools import product
from pathlib import Path
from typing import Any

import optuna
import pytest
from conftest import make_study
from optuna.trial import TrialState
from test_replay import run_to_its_end, study
from toy import Crasher, ToyHost, crashing, toy_record

import gantune
from gantune.api import Silent
from gantune.document import parse_document
from gantune.errors import ConfigError, RunError
from gantune.goals import Ranking, front, parse_constraint
from gantune.loader import study_from_document
from gantune.paths import RunPaths
from gantune.study import Study
from gantune.tuning import journal
from gantune.tuning.conductor import Conductor
from gantune.tuning.lifecycle import create_run

# A process that dies closes no files.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

BOTH = [{"metric": "frechet_distance"}, {"metric": "coverage"}]


def finished(root: Path, plan: Study, crasher: Crasher | None = None) -> gantune.Run:
    if not (root / "study.yaml").exists():
        create_run(RunPaths(root), plan)
    run_to_its_end(root, plan, crasher)
    return gantune.load(root)


def told(root: Path, directions: list[Any]) -> list[optuna.trial.FrozenTrial]:
    sampler = optuna.samplers.RandomSampler()
    return journal.open_journal(RunPaths(root).journal, "tiny", directions, sampler).get_trials()


def test_a_list_in_the_file_is_a_list_again_in_the_run(tmp_path: Path) -> None:
    run = finished(tmp_path / "r", study(objective=BOTH, constraints=["coverage>=.1"]))
    assert [aim.metric for aim in run.study.objective.both] == ["frechet_distance", "coverage"]
    text = (tmp_path / "r" / "study.yaml").read_text()
    tree = parse_document(text, source="study.yaml").value
    assert isinstance(tree, dict)
    assert tree["objective"] == [
        {"metric": "frechet_distance", "goal": "minimize"},
        {"metric": "coverage", "goal": "maximize"},
    ]
    assert tree["constraints"] == ["coverage >= 0.1"]


def test_optuna_hears_both_at_the_best_epoch(tmp_path: Path) -> None:
    run = finished(tmp_path / "r", study(objective=BOTH))
    for trial, (_, row) in zip(
        told(tmp_path / "r", ["minimize", "maximize"]), run.trials.iterrows(), strict=True
    ):
        epochs = run.epochs[run.epochs["number"] == trial.number].dropna(subset=["objective"])
        best = epochs.loc[epochs["objective"].astype(float).idxmin()]
        assert row["best_epoch"] == best["epoch"] and row["second_objective"] == best["coverage"]
        assert trial.intermediate_values == {}  # Optuna takes none of two objectives
        if row["status"] == "completed":
            assert trial.state == TrialState.COMPLETE
            assert trial.values == [best["objective"], best["coverage"]]
        else:
            assert trial.state == TrialState.PRUNED and trial.values is None


@pytest.mark.parametrize("sampler", ["tpe", "random", "qmc", "gp"])
def test_every_sampler_proposes_for_two(tmp_path: Path, sampler: str) -> None:
    plan = make_study(
        objective=BOTH, sampler={"name": sampler}, budget={"trials": 13}, constraints=["recall<=2"]
    )
    conductor = Conductor(RunPaths(tmp_path), plan, Silent())
    host, numbers = ToyHost(), []
    while (spec := conductor.ask()) is not None:
        numbers.append(spec.number)
        records = [{**toy_record(spec, e), "recall": 0.5} for e in (1, 2, 3, 4)]
        if any(record["verdict"] == "diverged" for record in records):
            records = records[:2]
        conductor.observe(spec.number, records, [], "w")
        conductor.finish(spec.number, failed=False)
    assert numbers == list(range(13)) and host is not None
    conductor.close()


def dominated(a: tuple[float, float], b: tuple[float, float]) -> bool:
    return b[0] <= a[0] and b[1] <= a[1] and b != a


@pytest.mark.parametrize("seed", range(20))
def test_the_front_is_what_nothing_dominates(seed: int) -> None:
    rng = random.Random(seed)
    # Few values: many ties.
    points = [(float(rng.randrange(6)), float(rng.randrange(6))) for _ in range(rng.randrange(30))]
    by_hand = [i for i, a in enumerate(points) if not any(dominated(a, b) for b in points)]
    assert sorted(front(points)) == by_hand


@pytest.mark.parametrize("constraints", [[], ["coverage >= 0.6"]])
def test_pareto_is_the_front_of_the_trials_that_meet_the_constraints(
    tmp_path: Path, constraints: list[str]
) -> None:
    plan = study(trials=12, objective=BOTH, constraints=constraints)
    run = finished(tmp_path / "r", plan)
    bound = 0.6 if constraints else 0.0
    rows = run.trials.dropna(subset=["objective"])
    rows = rows[rows["second_objective"] >= bound]
    assert 1 < len(rows) <= 12
    points = {
        int(r["number"]): (r["objective"], -r["second_objective"]) for _, r in rows.iterrows()
    }
    expected = {n for n, a in points.items() if not any(dominated(a, b) for b in points.values())}
    found = run.pareto()
    assert set(found["number"]) == expected
    assert found["frechet_distance"].is_monotonic_increasing
    assert found["coverage"].is_monotonic_increasing  # less of one buys more of the other
    assert {"config.optimizer.generator.lr", "epoch"} <= set(found.columns)


def test_with_one_objective_the_front_is_the_best_trial(tmp_path: Path) -> None:
    run = finished(tmp_path / "r", study())
    assert run.pareto()["number"].tolist() == [run.best_number()]


def test_a_constraint_moves_the_best_epoch_and_the_best_trial(tmp_path: Path) -> None:
    plan = study(trials=10, constraints=["coverage <= 0.45"], scheduler={"name": "none"})
    run = finished(tmp_path / "r", plan)
    moved = 0
    for _, row in run.trials.iterrows():
        epochs = run.epochs[run.epochs["number"] == row["number"]].dropna(subset=["objective"])
        meets = epochs[epochs["coverage"] <= 0.45]
        pool = meets if len(meets) else epochs
        best = pool.loc[pool["objective"].astype(float).idxmin()]
        assert row["objective"] == best["objective"] and row["best_epoch"] == best["epoch"]
        assert row["feasible"] == ("yes" if len(meets) else "no")
        moved += best["objective"] > epochs["objective"].min()
    assert moved, "no trial shows a difference"
    feasible = run.trials[run.trials["feasible"] == "yes"]
    assert run.best_number() == feasible.sort_values("objective")["number"].iloc[0]
    for trial in told(tmp_path / "r", ["minimize"]):
        row = run.trials.iloc[trial.number]
        if row["status"] != "diverged":
            ((name, violation),) = trial.constraints.items()
            assert name == "coverage <= 0.45"
            assert (violation <= 0) == (row["feasible"] == "yes")


def test_where_no_trial_meets_a_constraint_there_is_no_best(tmp_path: Path) -> None:
    run = finished(tmp_path / "r", study(constraints=["coverage >= 2"]))
    with pytest.raises(RunError, match="no trial has coverage >= 2 at its best epoch; without it"):
        run.best_number()
    with pytest.raises(RunError, match="no trial has coverage >= 2"):
        run.pareto()


@pytest.mark.slow
def test_crashes_change_nothing(tmp_path: Path) -> None:
    plan = study(objective=BOTH, constraints=["coverage >= 0.5"])
    frames = []
    for number in range(5):
        rng = random.Random(number)
        crasher = Crasher(rng, average=15)
        crasher.armed = number > 0
        with crashing(crasher):
            frames.append(finished(tmp_path / str(number), plan, crasher).trials)
        drop = ["started_at", "trial_id", "wall_s", "worker"]
        assert frames[-1].drop(columns=drop).equals(frames[0].drop(columns=drop))


@pytest.mark.parametrize(
    ("text", "record", "violation"),
    [
        ("coverage >= 0.5", {"coverage": 0.2}, 0.3),
        ("coverage>=0.5", {"coverage": 0.7}, -0.2),
        ("mode_kl <= 1e-1", {"mode_kl": 0.3}, 0.2),
        ("mine <= 2", {"extra_metrics": '{"mine": 5}'}, 3.0),
        ("coverage >= 0.5", {"coverage": None}, float("inf")),
    ],
)
def test_constraints_by_hand(text: str, record: dict[str, Any], violation: float) -> None:
    constraint = parse_constraint(text)
    assert constraint.violation(record) == pytest.approx(violation)
    ranking = Ranking(1, (constraint,))
    assert ranking.is_feasible(record) == (violation <= 0)


def test_what_meets_comes_first_whatever_its_value() -> None:
    ranking = Ranking(-1, (parse_constraint("coverage >= 0.5"),))
    rows = [
        {"epoch": e, "objective": o, "coverage": c}
        for e, (o, c) in enumerate(product((1.0, 2.0, None), (0.4, 0.6)))
    ]
    best = ranking.best(rows)
    assert best is rows[3]
    assert ranking.best(rows[:1]) is rows[0] and ranking.best(rows[4:]) is None


HEAD = "name: x\nsearch: {optimizer.generator.lr: {log_uniform: [1e-4, 1e-2]}}\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "constraints: [coverge >= 0.5]",
            "line 3.*unknown metric 'coverge'; did you mean coverage",
        ),
        ("constraints: [coverage > 0.5]", "write a constraint like 'coverage >= 0.5'"),
        ("constraints: [high_quality >= 0.5]", "high_quality does not exist for digits"),
        (
            "objective: [{metric: coverage}, {metric: coverage}]",
            "two objectives are two metrics, and both are coverage",
        ),
        (
            "objective:\n- {metric: coverage}\n- {metric: covrage}",
            r"line 5: objective\.1\.metric.*did you mean coverage",
        ),
        ("objective: [{metric: recall}, {metric: density}, {metric: modes}]", "a list of two such"),
        ("objective: []", "a list of two such"),
        ("objective: [{metric: coverage}, {metric: high_quality}]", "does not exist for digits"),
    ],
)
def test_bad_objectives_are_said_with_their_place(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        study_from_document(parse_document(HEAD + text, source="study.yaml"))
