"""What is claimed of the verdicts, on the committed records of runs with planted faults."""

from collections import Counter
from pathlib import Path

import pytest
from confusion import Counts, Judged, judge
from verdict_records import load, machine_of
from verdict_report import report

LEAST = {
    "healthy": 35,
    "mode_collapse": 20,
    "diverged": 20,
    "discriminator_dominates": 20,
    "memorizing": 20,
}
"""Runs that are so in truth, of both halves."""

FOLDER = Path(__file__).parents[2] / "reports" / "verdicts"


@pytest.fixture(scope="module")
def judged() -> list[Judged]:
    return [judge(run) for run in load(FOLDER)]


@pytest.mark.parametrize("half", ["set", "held", "blind"])
def test_faults_are_found_and_healthy_runs_are_not_blamed(judged: list[Judged], half: str) -> None:
    counts = Counts.of_runs(one for one in judged if one.run.half == half)
    assert counts.macro_f1 >= 0.9
    assert counts.missed("diverged") == 0
    assert counts.missed("healthy") <= 0.03 * counts.runs("healthy")


def test_there_are_enough_runs_for_the_claims(judged: list[Judged]) -> None:
    truths = Counter(one.truth for one in judged)
    for name, least in LEAST.items():
        assert truths[name] >= least, name
    held = Counter(one.truth for one in judged if one.run.half == "held")
    assert held["healthy"] >= 35
    blind = Counter(one.truth for one in judged if not one.run.context.modes)
    assert blind["mode_collapse"] >= 10 and blind["healthy"] >= 10


def test_no_study_sets_thresholds_and_tests_them(judged: list[Judged]) -> None:
    halves = {half: {j.run.study for j in judged if j.run.half == half} for half in ("set", "held")}
    assert halves["set"] and halves["held"] and not halves["set"] & halves["held"]
    assert all(j.run.seed >= 2 for j in judged if j.run.half in ("held", "blind"))


def test_the_page_is_what_the_records_say() -> None:
    text = (FOLDER / "README.md").read_text()
    assert text == report(load(FOLDER), machine_of(FOLDER)), "run `benchmarks/verdicts.py table`"
