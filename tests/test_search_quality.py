"""benchmarks/search_quality.py: its searches are the real ones, its figures are counted by hand."""

import math
import sys
from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from conftest import make_study
from search_arms import ByHand, Gantune, Running, effective, tune_space
from search_figures import (
    Search,
    best_so_far,
    geometric_mean,
    matrix,
    paired_bootstrap,
    ratios_at,
    ratios_overall,
    read_searches,
    share_of_epochs,
    write_searches,
)
from search_plot import Panel, draw
from search_slots import Spent, simulate
from search_surrogate import Curve, Recorded, Surrogate
from search_tables import early_table, rank_correlation
from search_text import figure, found_text

from gantune.api import Silent
from gantune.checks import search_space
from gantune.host import Host
from gantune.paths import RunPaths
from gantune.records import read_table
from gantune.study import Study
from gantune.tuning.conductor import Conductor
from gantune.tuning.local import drive

EPOCHS = 9


def plan(scheduler: str = "asha", **sections: Any) -> Study:
    return make_study(
        trial={"train": {"epochs": EPOCHS, "steps_per_epoch": 2, "batch_size": 8}},
        scheduler={"name": scheduler, "grace_epochs": 1, "reduction_factor": 2},
        sampler={"startup_trials": 3},
        budget={"trials": 12},
        **sections,
    )


def objectives_of(conductor: Conductor) -> dict[int, tuple[float | None, ...]]:
    """Of each trial of a run, as recorded."""
    found: dict[int, tuple[float | None, ...]] = {}
    for row in read_table(conductor.paths.table("epochs")).to_pylist():
        found[row["number"]] = (*found.get(row["number"], ()), row["objective"])
    return found


class BySeed:
    """The curves that a run has recorded, known by their trials' seeds."""

    def __init__(self, conductor: Conductor) -> None:
        self._curves = {}
        for number, objectives in objectives_of(conductor).items():
            self._curves[conductor.ledger.starts[number]["seed"]] = Curve(objectives)

    def curve(self, values: Mapping[str, Any], seed: int) -> Curve:
        return self._curves[seed]


def decisions(conductor: Conductor) -> list[tuple[Any, ...]]:
    """Of each trial: what was proposed, how long it was, how it ended."""
    names = ("number", "parameters", "epochs", "status", "stopped_by", "objective")
    return [tuple(row[name] for name in names) for _, row in sorted(conductor.ledger.ends.items())]


@pytest.mark.slow
@pytest.mark.parametrize("scheduler", ["asha", "asha_promotion"])
def test_a_run_replayed_in_simulated_time_decides_as_it_did(tmp_path: Path, scheduler: str) -> None:
    (tmp_path / "real").mkdir()
    real = Conductor(RunPaths(tmp_path / "real"), plan(scheduler), Silent())
    drive(real, Host())
    real.close()
    arm = Gantune(plan(scheduler), tmp_path / "simulated")
    # Had it let a trial go on that was stopped, it would have seen epochs without an objective.
    spent = simulate(arm, BySeed(real), 10_000, slots=1)
    arm.close()
    assert decisions(arm.conductor) == decisions(real)
    objectives = objectives_of(real)
    assert [(s.key.number, s.epoch, s.objective) for s in spent] == [
        (number, index + 1, objectives[number][index]) for number, index in real.ledger.order
    ]
    lengths = set(map(len, objectives.values()))
    assert EPOCHS in lengths and len(lengths) > 1


class Lengths:
    """A search whose trials have given lengths; and the curve of every trial."""

    def __init__(self, lengths: list[int]) -> None:
        self._lengths = dict(enumerate(lengths))
        self._next = 0

    def ask(self) -> Running | None:
        self._next += 1
        return Running(self._next - 1, {}, 0) if self._next <= len(self._lengths) else None

    def tell(self, trial: Running, epoch: int, curve: Curve) -> bool:
        return epoch < self._lengths[trial.key]

    def close(self) -> None: ...

    def curve(self, values: Mapping[str, Any], seed: int) -> Curve:
        return Curve((3.0, 2.0, 1.0))


def test_slots_train_side_by_side() -> None:
    arm = Lengths([2, 1, 3])
    spent = simulate(arm, arm, 100, slots=2)
    assert spent == [
        Spent(0, 1, 3.0),
        Spent(1, 1, 3.0),
        Spent(0, 2, 2.0),
        Spent(2, 1, 3.0),  # the second slot was free first
        Spent(2, 2, 2.0),
        Spent(2, 3, 1.0),
    ]
    again = Lengths([2, 1, 3])
    assert simulate(again, again, 4, slots=2) == spent[:4]


def toy(config: Mapping[str, Any], epoch: int) -> float:
    """An objective that falls at first and is not monotone."""
    distance = abs(math.log10(config["optimizer.generator.lr"]) + 3)
    return float(distance + 1 / epoch + 0.3 * math.sin(epoch * (7 + 1e4 * config["x"])))


class Toy:
    """The curves of :func:`toy`."""

    def curve(self, values: Mapping[str, Any], seed: int) -> Curve:
        config = {"optimizer.generator.lr": values["optimizer.generator.lr"]}
        config["x"] = values["optimizer.generator.beta1"]
        return Curve(tuple(toy(config, epoch) for epoch in range(1, EPOCHS + 1)))


@pytest.mark.long
@pytest.mark.usefixtures("standing_ray")
def test_the_search_by_hand_is_that_of_ray_tune(tmp_path: Path) -> None:
    import ray
    from ray import cloudpickle, tune
    from ray.tune.schedulers import ASHAScheduler
    from ray.tune.search.optuna import OptunaSearch

    study, trials = plan(), 14
    metric, space = study.objective.metric, search_space(study)

    def train(config: dict[str, Any]) -> None:
        for epoch in range(1, EPOCHS + 1):
            known = {**config, "x": config["optimizer.generator.beta1"]}
            tune.report({metric: toy(known, epoch)})

    cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers cannot import tests
    whole = {"cpu": ray.cluster_resources()["CPU"]}  # one trial at a time
    results = tune.Tuner(
        tune.with_resources(train, whole),
        param_space=tune_space(space),
        tune_config=tune.TuneConfig(
            metric=metric,
            mode="min",
            num_samples=trials,
            search_alg=OptunaSearch(seed=3),
            scheduler=ASHAScheduler(max_t=EPOCHS, grace_period=1, reduction_factor=3),
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(storage_path=str(tmp_path), verbose=0),
    ).fit()
    real = [(effective(space, r.config), r.metrics["training_iteration"]) for r in results]

    spent = simulate(arm := ByHand(study, 3, 1, 3), Toy(), 10_000, slots=1)
    lengths = [max(s.epoch for s in spent if s.key == str(n)) for n in range(trials)]
    assert [(arm.proposed[n], lengths[n]) for n in range(trials)] == real
    assert len(set(lengths)) == 3


def recorded(count: int) -> tuple[Study, Recorded]:
    study = plan()
    rng = np.random.default_rng(0)
    values, curves = [], []
    for _ in range(count):
        lr, ratio = 10 ** rng.uniform(-5, -2), 10 ** rng.uniform(-1, 1)
        point = {"optimizer.generator.lr": lr, "optimizer.discriminator.lr": ratio * lr}
        values.append({**point, "optimizer.generator.beta1": rng.uniform(0, 0.9)})
        curves.append(Toy().curve(values[-1], 0))
        curves[-1] = Curve(tuple(v + 2 for v in curves[-1].objectives))
    return study, Recorded(values, curves, "none")


def test_a_surrogate_answers_with_recorded_curves() -> None:
    study, trials = recorded(40)
    surrogate = Surrogate(study, trials)
    for values, curve in zip(trials.values, trials.curves, strict=True):
        assert surrogate.curve(values, 12345) == curve
    between = trials.values[0] | {"optimizer.generator.lr": 1e-3}
    answers = {surrogate.curve(between, seed) for seed in range(50)}
    assert 1 < len(answers) and answers <= set(trials.curves)


@pytest.mark.slow
def test_a_surrogate_knows_what_matters() -> None:
    study, trials = recorded(120)
    surrogate = Surrogate(study, trials)
    for lr in (1e-5, 1e-4, 1e-3, 1e-2):
        values = trials.values[0] | {"optimizer.generator.lr": lr}
        near = [trials.values[n]["optimizer.generator.lr"] for n in surrogate.neighbours(values)]
        assert abs(np.median(np.log10(near)) - math.log10(lr)) < 0.5


def test_a_surrogate_tells_trials_that_lack_a_parameter_from_those_that_have_it(
    tmp_path: Path,
) -> None:
    study = make_study(
        search={
            "penalty.name": {"choice": ["none", "r1"]},
            "penalty.weight": {"log_uniform": [0.1, 10], "when": {"penalty.name": "r1"}},
        }
    )
    weights = [None, 0.1, 1.0, 10.0]
    having: list[dict[str, Any]] = [
        {"penalty.name": "r1", "penalty.weight": weight} if weight else {"penalty.name": "none"}
        for weight in weights
    ]
    curves = [Curve((9.0, float(number))) for number in range(1, 5)]
    surrogate = Surrogate(study, Recorded(having, curves, "none"))
    assert [surrogate.curve(values, 7) for values in having] == curves
    arm = Gantune(study, tmp_path / "run")
    proposed = [trial.values for trial in (arm.ask() for _ in range(4)) if trial]
    arm.close()
    assert {len(values) for values in proposed} == {1, 2}, "they are what the surrogate is asked"


def test_a_diverged_epoch_is_no_objective() -> None:
    curve = Curve((3.0, 1.0, None), diverged=True)
    assert [curve.objective(epoch) for epoch in (2, 3, 4)] == [1.0, None, None]
    assert [curve.best(epoch) for epoch in (1, 3)] == [3.0, 1.0]
    assert best_so_far([None, 3.0, None, 1.0, 2.0], 7) == (math.inf, 3.0, 3.0, 1.0, 1.0, 1.0, 1.0)


def test_searches_are_told_a_share_as_it_is_and_compared_by_what_it_lacks(tmp_path: Path) -> None:
    study = plan(objective={"metric": "coverage"})
    lacks = Curve((0.75, 0.5, *[0.625] * (EPOCHS - 2)))
    arm = Gantune(study, tmp_path / "run")
    trial = arm.ask()
    assert trial is not None
    for epoch in (1, 2, 3):
        assert arm.tell(trial, epoch, lacks)
    told = [(row["objective"], row["best_objective"]) for row in arm.conductor.ledger.records[0]]
    arm.close()
    assert told == [(0.25, 0.25), (0.5, 0.5), (0.375, 0.5)]
    hand = ByHand(study, 0, 1, 3)
    better, worse = hand.ask(), hand.ask()
    assert hand.tell(better, 1, lacks)
    assert not hand.tell(worse, 1, Curve((0.9,)))
    spent = simulate(Lengths([3]), Lengths([3]), 10, slots=1)
    assert best_so_far([each.objective for each in spent], 3) == (3.0, 2.0, 1.0)


def test_the_bootstrap_draws_seeds_in_pairs() -> None:
    ours, other = np.array([[1.0], [2.0], [8.0]]), np.array([[1.0], [1.0], [1.0]])
    logs = np.log([1, 2, 8])
    # All 27 draws, each as likely as any other.
    every = sorted(np.exp(np.mean(draw)) for draw in product(logs, repeat=3))
    found = paired_bootstrap(geometric_mean, [ratios_at(1, ours, other)])
    assert found.value == pytest.approx(16 ** (1 / 3))
    assert (found.low, found.high) == pytest.approx((every[0], every[-1]))  # 1/27 > 2.5%
    # What differs between seeds and not between searches is not in the interval.
    halved = ratios_at(1, ours, 2 * ours)
    assert paired_bootstrap(geometric_mean, [halved]) == pytest.approx((0.5, 0.5, 0.5))
    # Rows of several arrays are drawn together.
    assert paired_bootstrap(lambda rows, a, b: (b - a)[rows].sum((-1, -2)), [ours, ours]).high == 0


def test_epochs_until_the_others_last_median() -> None:
    other = np.array([[9, 9, 9, 5], [9, 9, 9, 4], [9, 9, 9, 3.0]])
    ours = np.array([[9, 5, 5, 5], [9, 4, 4, 4], [9, 9, 1, 1.0]])
    each = np.arange(3)
    assert share_of_epochs(each, ours, other) == 3 / 4  # medians 9, 5, 4, 4 against 4
    assert share_of_epochs(each, other, other) == 1
    assert share_of_epochs(each, other, ours - 1) == math.inf
    assert ratios_overall(ours, ours * 3) == pytest.approx(1 / 3)


def test_nothing_found_yet_is_no_ratio() -> None:
    ours, other = np.array([[math.inf, 2.0, 2.0, 1.0]]), np.array([[math.inf, math.inf, 1.0, 2.0]])
    assert ratios_overall(ours, other) == pytest.approx([1.0])  # sqrt(2 / 1 * 1 / 2)
    assert ratios_overall(ours[:, 2:], other[:, 2:] / 2) == pytest.approx([2.0])


def test_searches_are_read_as_they_were_written(tmp_path: Path) -> None:
    searches = [
        Search("digits", "trained", "random", 1, (math.inf, 5.0, 5.0, 2.0, 2.0)),
        Search("digits", "trained", "random", 0, (7.0, 7.0, 7.0, 7.0, 6.0)),
        Search("grid", "simulated", "by hand", 1, (1.0, 1.0)),
    ]
    write_searches(searches, tmp_path / "searches.parquet", "a machine")
    found, machine = read_searches(tmp_path / "searches.parquet")
    assert found == searches and machine == "a machine"
    of_random = matrix(found, "digits", "trained", "random")
    assert of_random.tolist() == [list(searches[1].best), list(searches[0].best)]


def test_ranks_share_their_place_where_values_are_equal() -> None:
    # Spearman's by hand: ranks 1, 2.5, 2.5, 4 against 4, 2, 3, 1.
    one, other = np.array([1.0, 5.0, 5.0, 9.0]), np.array([8.0, 2.0, 3.0, 1.0])
    assert rank_correlation(one, other) == pytest.approx(-4.5 / math.sqrt(4.5 * 5))


def test_a_picture_has_a_line_and_a_band_for_each_search() -> None:
    best = np.array([[5.0, 3.0, 3.0, 1.0], [6.0, 6.0, 2.0, 2.0]])
    root = ElementTree.fromstring(draw([Panel("<digits>", "nats", {"a": best, "b": 2 * best})]))
    svg = "{http://www.w3.org/2000/svg}"
    assert len(root.findall(f".//{svg}polyline")) == len(root.findall(f".//{svg}polygon")) == 2
    assert "<digits>" in [text.text for text in root.iter(f"{svg}text")]


def test_early_epochs_against_the_end() -> None:
    # They end at 1 to 20; at epoch 1 the one that ends second is last, the others in their order.
    curves = [Curve((200.0 if end == 2 else 100.0 + end, float(end))) for end in range(1, 21)]
    found = early_table(Recorded([{}] * 20, curves, "none"), (1, 2), 4)
    assert [line.split(" | ")[-1] for line in found[2:]] == ["50% |", "100% |"]
    assert found[3].startswith("| 2 | 1.00 |")


@pytest.mark.slow
def test_the_report_is_that_of_its_tables() -> None:
    folder = Path(__file__).parent.parent / "reports" / "search_quality"
    searches, machine = read_searches(folder / "searches.parquet")
    text = (folder / "README.md").read_text(encoding="utf-8")
    assert machine in text
    for part, found in found_text(searches).items():
        assert found in text, part
    assert (folder / "curves.svg").read_text(encoding="utf-8") == figure(searches)
