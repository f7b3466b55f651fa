"""The figures of benchmarks/stop_by_verdict.py, on runs small enough to count by hand."""

import sys
from pathlib import Path

import pytest
from conftest import make_study

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))

from stop_figures import Outcome, Rule, Trial, as_run, ratio_interval, replayed
from trained_once import TrainedOnce

from gantune.api import Silent
from gantune.columns import TIMES
from gantune.host import Host
from gantune.paths import RunPaths
from gantune.records import read_table
from gantune.study import Stop, Study
from gantune.tuning.conductor import Conductor
from gantune.tuning.local import Trains, drive

COLLAPSE = Stop(verdicts=("mode_collapse",), patience=2)
NEVER = Stop()


def trial(verdicts: str, objectives: list[float | None], *, by_verdict: bool = False) -> Trial:
    """A trial of one letter per epoch: healthy, collapsed, diverged."""
    names = {"h": "healthy", "c": "mode_collapse", "d": "diverged"}
    return Trial(tuple(names[letter] for letter in verdicts), tuple(objectives), by_verdict)


TRIALS = [
    trial("hhhhhh", [9, 8, 7, 6, 5, 4]),
    trial("hcchhh", [9, 8, 7, 3, 2, 1]),  # collapsed when young, and the best in the end
    trial("hchchc", [None, 20, 20, 20, 20, 20]),
    trial("hcd", [9, 8, None]),
    trial("hhhhcc", [9, 9, 9, 9, 9, 9]),  # at the last epoch there is nothing left to stop
]


def test_without_a_rule_all_is_trained() -> None:
    assert as_run(TRIALS) == replayed(TRIALS, Rule(NEVER), 6) == Outcome((6, 6, 6, 3, 6), 1, ())


def test_a_stop_by_verdict_saves_the_rest_of_a_trial_and_loses_what_it_would_have_found() -> None:
    assert replayed(TRIALS, Rule(COLLAPSE), 6) == Outcome((6, 3, 6, 3, 6), 4, (1,))


def test_halving_decides_over_the_same_trials() -> None:
    # At epoch 2, one in two: 8 goes on, 8 goes on, 20 ends, 8 goes on, 9 ends.
    assert replayed(TRIALS, Rule(NEVER, (2,), 2), 6) == Outcome((6, 6, 2, 3, 2), 1, ())
    assert replayed(TRIALS, Rule(COLLAPSE, (2,), 2), 6) == Outcome((6, 3, 2, 3, 2), 4, (1,))


def test_trials_that_a_verdict_ended_are_counted() -> None:
    ended = trial("hcc", [9, 8, 7], by_verdict=True)
    assert as_run([TRIALS[0], ended]) == Outcome((6, 3), 4, (1,))


def test_an_interval_is_of_ratios() -> None:
    assert ratio_interval([2.0, 0.5]) == pytest.approx((1, 0.5, 2))
    assert ratio_interval([3.0] * 5) == pytest.approx((3, 3, 3))
    mean, low, high = ratio_interval([1.0, 1.1, 1.2, 0.9, 1.0, 1.3, 0.8, 1.0])
    assert 0.9 < low < mean < high < 1.2


def plan(stop: Stop) -> Study:
    return make_study(
        trial={"train": {"epochs": 6, "steps_per_epoch": 2, "batch_size": 8}},
        scheduler={"grace_epochs": 2, "reduction_factor": 2},
        sampler={"startup_trials": 2},
        budget={"trials": 6},
        stop=stop.model_dump(mode="json"),
    )


def trained(root: Path, study: Study, host: Trains) -> list[list[dict[str, object]]]:
    """Every trial's records, without what differs from run to run."""
    root.mkdir()
    conductor = Conductor(RunPaths(root), study, Silent())
    drive(conductor, host)
    conductor.close()
    records: dict[int, list[dict[str, object]]] = {}
    for row in read_table(conductor.paths.table("epochs")).to_pylist():
        kept = {k: v for k, v in row.items() if k not in TIMES | {"trial_id"}}
        records.setdefault(row["number"], []).append(kept)
    return [rows for _, rows in sorted(records.items())]


@pytest.mark.slow
def test_what_was_trained_before_is_read_as_if_it_were_trained_again(tmp_path: Path) -> None:
    faults = ("mode_collapse", "mode_dropping", "generator_dominates", "oscillating")
    stopping, once = Stop(verdicts=faults, patience=1), TrainedOnce(Host())
    apart = [
        trained(tmp_path / f"{stop.patience}", plan(stop), Host()) for stop in (NEVER, stopping)
    ]
    assert apart[0] != apart[1]
    # The stop first, so that what is known of its trials is too short for the other study.
    assert trained(tmp_path / "stopping", plan(stopping), once) == apart[1] and once.read == 0
    assert trained(tmp_path / "never", plan(NEVER), once) == apart[0] and once.read > 0
    assert trained(tmp_path / "again", plan(stopping), once) == apart[1]
