"""ASHA's decisions, recomputed from a run's records by an implementation of their own.

The rule (Li et al., arXiv 1810.05934, the stopping variant, as docs/design.md has it): rungs stand
at grace * factor^k below a trial's full length. A trial that reaches a rung goes on if fewer than
max(1, n // factor) of the n trials that have been there so far, itself included, were better in
the last value that they had there. Nothing is read but ``run.epochs`` in order of ``seq`` and
the study; ``run.trials`` says what really happened.
"""

import math
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import pytest
from conftest import make_study
from test_cli import call, end, epochs_on_disk, kill_driver, start, wait_for
from test_replay import run_with_slots
from toy import Crasher, crashing

import gantune
from gantune.goals import Standing
from gantune.paths import RunPaths
from gantune.study import Study
from gantune.tuning.conductor import Conductor
from gantune.tuning.judge import Judge
from gantune.tuning.lifecycle import create_run
from gantune.tuning.rungs import Rungs

# A process that dies closes no files.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


class End(NamedTuple):
    """How a trial ended, and after which epoch."""

    status: str
    stopped_by: str | None
    epoch: int


def ends_by_hand(run: gantune.Run) -> dict[int, End]:
    """Goes through the records in order of their arrival and decides about each trial."""
    study, scheduler = run.study, run.study.scheduler
    sign = 1 if study.objective.both[0].goal == "minimize" else -1
    levels, full = levels_by_hand(study)
    seen: dict[float, list[float]] = {level: [] for level in levels}
    before: dict[int, float] = {}
    value: dict[int, float] = {}
    ends: dict[int, End] = {}
    for record in run.epochs.sort_values("seq").to_dict("records"):
        number, epoch = record["number"], record["epoch"]
        way = float(record[COLUMNS[scheduler.unit]])
        if number in ends:
            continue
        if not math.isnan(record["objective"]):  # of an epoch that was not evaluated
            value[number] = sign * record["objective"]
        is_last = epoch == study.trial.train.epochs and scheduler.unit != "images"
        if record["verdict"] == "diverged":
            ends[number] = End("diverged", None, epoch)
        elif way >= full or is_last:
            ends[number] = End("completed", None, epoch)
        else:
            for level in levels:
                if before.get(number, 0) < level <= way:
                    own = value.get(number, math.inf)
                    seen[level].append(own)
                    better = sum(other < own for other in seen[level])
                    if better >= max(1, len(seen[level]) // scheduler.reduction_factor):
                        ends[number] = End("stopped", "asha", epoch)
        before[number] = way
    return ends


COLUMNS = {"epochs": "epoch", "images": "images_seen", "seconds": "wall_s"}


def levels_by_hand(study: Study) -> tuple[list[float], float]:
    """Rungs, and a full length: in epochs, images or seconds."""
    scheduler, train = study.scheduler, study.trial.train
    grace, full = float(scheduler.grace_epochs), float(train.epochs)
    if scheduler.unit == "seconds":
        grace, full = scheduler.grace_seconds, scheduler.max_seconds
    elif scheduler.unit == "images":  # told in epochs of the base trial
        of_an_epoch = train.steps_per_epoch * train.batch_size * train.d_steps
        grace, full = grace * of_an_epoch, full * of_an_epoch
    levels = [grace]
    while levels[-1] * scheduler.reduction_factor < full:
        levels.append(levels[-1] * scheduler.reduction_factor)
    return levels, full


def check_decisions(root: Path) -> dict[int, End]:
    """Compares how the trials of a run have ended with how they had to."""
    run = gantune.load(root)
    assert list(run.epochs["seq"].sort_values()) == list(range(len(run.epochs)))
    by = run.trials["stopped_by"].astype("object")
    columns = (run.trials["status"], by.where(by.notna(), None), run.trials["epochs"])
    ended = {number: End(*row) for number, *row in zip(run.trials["number"], *columns, strict=True)}
    assert ended == ends_by_hand(run)
    return ended


# Toy trials: all units, crashes at any write.

LENGTH = {"train": {"epochs": 9, "steps_per_epoch": 2, "batch_size": 8}, "eval": {"samples": 50}}

UNITS: dict[str, dict[str, Any]] = {
    "epochs": {"scheduler": {"grace_epochs": 1, "reduction_factor": 2}},
    "images": {
        "search": {
            "optimizer.generator.lr": {"log_uniform": [1e-5, 1e-2]},
            "train.d_steps": {"choice": [1, 2, 3]},
            "train.batch_size": {"choice": [4, 8]},
        },
        "scheduler": {"unit": "images", "grace_epochs": 1, "reduction_factor": 2},
    },
    "seconds": {
        "scheduler": {
            "unit": "seconds",
            "grace_seconds": 15,
            "max_seconds": 85,
            "reduction_factor": 2,
        },
    },
    "two objectives": {
        "objective": [
            {"metric": "frechet_distance", "goal": "minimize"},
            {"metric": "coverage", "goal": "maximize"},
        ],
        "scheduler": {"grace_epochs": 1, "reduction_factor": 2},
    },
}


def run_toys(root: Path, unit: str, seed: int) -> None:
    """A study of two slots that crashes now and then; its records arrive one by one."""
    rng = random.Random(seed)
    either = {"objective": {"metric": rng.choice(["frechet_distance", "coverage"])}}
    plan = make_study(
        trial=LENGTH,
        sampler={"name": "random", "seed": seed},
        budget={"trials": 12},
        **either | UNITS[unit],
    )
    create_run(RunPaths(root), plan)
    crasher = Crasher(rng, average=rng.choice([30, 100]))
    with crashing(crasher):
        run_with_slots(root, plan, 2, crasher, rng, at_once=1)


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("studies", [2, pytest.param(15, marks=pytest.mark.long)])
def test_every_decision_is_that_of_the_rule(tmp_path: Path, unit: str, studies: int) -> None:
    found: Counter[tuple[str, int]] = Counter()
    for seed in range(studies):
        run_toys(tmp_path / str(seed), unit, seed)
        ended = check_decisions(tmp_path / str(seed))
        found += Counter((way.status, way.epoch) for way in ended.values())
    assert len([epoch for status, epoch in found if status == "stopped"]) >= 3
    assert any(status == "completed" for status, _ in found)


# What the recomputation finds: each of these faults, within a few studies.


def _rungs_are_not_refilled(patch: pytest.MonkeyPatch) -> None:
    replay = Conductor._replay

    def without(self: Conductor) -> list[int]:
        waiting = replay(self)
        self._judge._rungs = Rungs(self.study.rungs, 2)
        return waiting

    patch.setattr(Conductor, "_replay", without)


def _the_trial_itself_does_not_count(patch: pytest.MonkeyPatch) -> None:
    """Nearly the rule of Ray's ASHA, which compares with those that were there before."""

    def observe(self: Rungs, number: int, level: float, standing: Standing) -> bool:
        rung = self._values.get(level)
        if rung is None or number in rung:
            return True
        others = sorted(rung.values())
        rung[number] = standing
        return not others or standing <= others[max(1, len(others) // 2) - 1]

    patch.setattr(Rungs, "observe", observe)


def _the_best_so_far_is_compared(patch: pytest.MonkeyPatch) -> None:
    def best(self: Judge, number: int, level: float, record: Any) -> bool:
        found = self._ranking.best(self._ledger.records[number][: record["epoch"]])
        return self._rungs.observe(number, level, found and self._ranking.standing(found))

    patch.setattr(Judge, "_passes", best)


def _only_the_first_rung_is_asked(patch: pytest.MonkeyPatch) -> None:
    passes = Judge._passes

    def first(self: Judge, number: int, level: float, record: Any) -> bool:
        return level > min(self._study.rungs) or passes(self, number, level, record)

    patch.setattr(Judge, "_passes", first)


@pytest.mark.slow
@pytest.mark.parametrize(
    "fault",
    [
        _rungs_are_not_refilled,
        _the_trial_itself_does_not_count,
        _the_best_so_far_is_compared,
        _only_the_first_rung_is_asked,
    ],
)
def test_each_fault_is_found(
    fault: Callable[[pytest.MonkeyPatch], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fault(monkeypatch)
    for seed in range(10):
        run_toys(tmp_path / str(seed), "epochs", seed)
        try:
            check_decisions(tmp_path / str(seed))
        except AssertionError:
            return
    pytest.fail("the recomputation did not notice")


# Real trials on a real Ray.


@pytest.mark.slow
@pytest.mark.usefixtures("standing_ray")
def test_every_decision_on_ray_is_that_of_the_rule(tmp_path: Path) -> None:
    plan = make_study(
        trial={"train": {"epochs": 9, "steps_per_epoch": 3, "batch_size": 8}},
        scheduler={"grace_epochs": 1, "reduction_factor": 3},
        budget={"trials": 12},
    )
    run = gantune.run(plan, runs_dir=tmp_path)
    ended = check_decisions(run.root)
    assert {way.status for way in ended.values()} >= {"completed", "stopped"}


DIGITS = """\
name: digits
trial:
  data: {name: digits, limit: 500}
  generator: {hidden: [16], latent_dim: 4}
  discriminator: {hidden: [16]}
  train: {epochs: 9, steps_per_epoch: 40, batch_size: 16}
  eval: {samples: 100, metrics: [frechet_distance]}
search:
  optimizer.generator.lr: {log_uniform: [1e-5, 1e-2]}
  optimizer.discriminator.lr: {log_uniform: [0.1, 10], times: optimizer.generator.lr}
scheduler: {name: asha, grace_epochs: 1, reduction_factor: 2}
samples: {every: 0}
budget: {trials: 24}
"""


def check_real(root: Path) -> None:
    ended = check_decisions(root)
    assert sorted(ended) == list(range(24))
    stopped = Counter(way.epoch for way in ended.values() if way.status == "stopped")
    assert set(stopped) <= {1, 2, 4, 8} and len(stopped) >= 2
    assert sum(way.status == "completed" for way in ended.values()) >= 1


@pytest.mark.long
def test_every_decision_of_a_real_study_is_that_of_the_rule(tmp_path: Path) -> None:
    (tmp_path / "digits.yaml").write_text(DIGITS)
    done = call("run", "digits.yaml", "--concurrency", "2", "--no-report", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    check_real(tmp_path / "runs" / "digits")


@pytest.mark.long
def test_so_is_every_decision_after_kill_minus_nine(tmp_path: Path) -> None:
    """Killed twice; what is decided then depends on rungs that another process has filled."""
    (tmp_path / "digits.yaml").write_text(DIGITS)
    root, left_behind = tmp_path / "runs" / "digits", list[psutil.Process]()
    process = start("run", "digits.yaml", "--concurrency", "2", cwd=tmp_path)
    try:
        for records in (15, 45):
            wait_for(lambda enough=records: epochs_on_disk(root) >= enough)
            assert process.poll() is None, "it ended before it could be killed"
            left_behind += kill_driver(process)
            ended = (gantune.load(root).trials["status"] == "stopped").sum()
            assert 0 < ended < 24
            process = start("resume", "digits", "--concurrency", "2", cwd=tmp_path)
        _, err = process.communicate(timeout=300)
        assert process.returncode == 0, err
    finally:
        if process.poll() is None:
            left_behind += kill_driver(process)
        end(left_behind)
    check_real(root)
