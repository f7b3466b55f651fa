"""Who waits at a rung and who goes on, recomputed from a run's records by other code.

The rule (Li et al., arXiv 1810.05934, algorithm 2, as docs/design.md has it): rungs stand at
grace * factor^k epochs. Of n trials that have been at a rung the best n // factor may go on, by
their value there; the others wait. Whoever is free takes the best that may go on from the highest
rung, else a new trial; when no new ones are left, the best of each rung may go on at least.
"""

import random
import re
from pathlib import Path
from typing import Any

import pytest
from conftest import make_study
from test_agreement import check_agreement
from test_by_hand import DIGITS
from test_cli import call
from test_replay import PROMOTION, run_to_its_end, run_with_slots
from toy import Crasher, ToyHost, crashing

import gantune
from gantune.api import Silent
from gantune.commands import stop
from gantune.errors import ConfigError
from gantune.goals import Standing
from gantune.lock import hold_lock
from gantune.paths import RunPaths
from gantune.study import Study
from gantune.tuning import schedulers
from gantune.tuning.conductor import Conductor
from gantune.tuning.lifecycle import create_run
from gantune.tuning.promotion import Promotions
from gantune.tuning.rungs import Rungs

# A process that dies closes no files.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

TRIALS = 12
EPOCHS = 9
SLOTS = 3
Curves = dict[int, list[float]]


def plan_of(seed: int, factor: int = 2, trials: int = TRIALS) -> Study:
    trial = {"train": {"epochs": EPOCHS, "steps_per_epoch": 2, "batch_size": 8}}
    scheduler = PROMOTION | {"reduction_factor": factor}
    sampler = {"name": "random", "seed": seed}
    return make_study(trial=trial, scheduler=scheduler, sampler=sampler, budget={"trials": trials})


def at(number: int) -> Standing:
    return Standing(False, float(number))


# By hand.


def test_the_first_waits_for_others_and_the_best_of_two_goes_on() -> None:
    rungs = Promotions((1, 2), factor=2)
    assert not rungs.observe(0, 1, at(5)) and rungs.promote(0) is None
    assert not rungs.observe(1, 1, at(7)) and list(rungs.waiting) == [0, 1]
    assert rungs.promote(0) == 0 and list(rungs.waiting) == [1]
    assert rungs.observe(2, 1, at(8)) is False  # 1 of 3 may go on, and has
    assert rungs.observe(3, 1, at(6)) is True  # 2 of 4: trial 3 is the second best
    assert rungs.promote(0) is None


def test_one_that_was_turned_away_is_let_in_when_worse_ones_come() -> None:
    rungs = Promotions((1,), factor=3)
    for number, value in enumerate([1, 2, 3, 4, 5]):
        assert not rungs.observe(number, 1, at(value))
    assert rungs.promote(0) == 0 and rungs.promote(0) is None  # 5 // 3
    rungs.observe(5, 1, at(9))
    assert rungs.promote(0) == 1 and rungs.promote(0) is None


def test_the_highest_rung_comes_first_and_equals_go_by_number() -> None:
    rungs = Promotions((1, 2), factor=2)
    for number in range(3):
        rungs.observe(number, 1, at(1))
    assert rungs.promote(0) == 0
    assert not rungs.observe(0, 2, at(9))
    assert rungs.observe(3, 1, at(0))
    assert rungs.observe(3, 2, at(3)) is True
    rungs.observe(4, 1, at(2))
    rungs.observe(5, 1, at(2))  # 3 of 6 at the first rung: trial 1 may go on, too
    assert rungs.promote(0) == 1
    assert not rungs.observe(1, 2, at(4))
    rungs.observe(6, 2, at(5))  # 2 of 4 at the second: trial 1 before those of the first
    assert rungs.promote(0) == 1


def test_without_new_trials_the_best_waits_for_nobody() -> None:
    rungs = Promotions((1, 2), factor=4)
    for number in range(3):
        rungs.observe(number, 1, at(number))
    assert rungs.promote(0) is None and rungs.promote(1) == 0
    assert not rungs.observe(0, 2, at(0))
    assert rungs.promote(1) == 0 and rungs.promote(1) is None


def test_no_value_is_worse_than_any_and_a_trial_that_has_left_is_not_let_in() -> None:
    rungs = Promotions((1,), factor=3)
    assert not rungs.observe(0, 1, None) and not rungs.observe(1, 1, at(float("nan")))
    assert rungs.observe(2, 1, at(4))
    assert not rungs.observe(3, 1, at(5)) and not rungs.observe(4, 1, at(6))
    rungs.leave(3)  # ended by hand
    assert not rungs.observe(5, 1, at(9)) and rungs.promote(0) is None  # the second best has left


def test_a_trial_waits_after_an_epoch() -> None:
    with pytest.raises(ConfigError, match="rungs in seconds are for asha"):
        make_study(
            scheduler={
                "name": "asha_promotion",
                "unit": "seconds",
                "grace_seconds": 1,
                "max_seconds": 9,
            }
        )


# Toy trials, through conductor, tables and crashes.


def curves_of(run: gantune.Run) -> Curves:
    found: Curves = {}
    for row in run.epochs.sort_values("seq").to_dict("records"):
        found.setdefault(row["number"], []).append(row["objective"])
    return found


def levels_by_hand(study: Study) -> list[int]:
    level, levels = study.scheduler.grace_epochs, []
    while level < EPOCHS:
        levels.append(level)
        level *= study.scheduler.reduction_factor
    return levels


def course_by_hand(study: Study, curves: Curves, diverged: set[int]) -> list[tuple[int, int]]:
    """The (trial, epoch) that one slot trains, in order."""
    factor, levels = study.scheduler.reduction_factor, levels_by_hand(study)
    course: list[tuple[int, int]] = []
    been: dict[int, dict[int, float]] = {level: {} for level in levels}
    waits: dict[int, int] = {}
    new = 0

    def ahead(level: int) -> list[int]:
        least = 0 if new < study.budget.trials else 1
        ranked = sorted((value, number) for number, value in been[level].items())
        return [number for _, number in ranked[: max(least, len(ranked) // factor)]]

    while True:
        free = [n for level in levels[::-1] for n in ahead(level) if waits.get(n) == level]
        if free:
            number, epoch = free[0], waits.pop(free[0])
        elif new < study.budget.trials:
            number, epoch, new = new, 0, new + 1
        else:
            return course
        while epoch < EPOCHS and number not in waits:
            epoch += 1
            course.append((number, epoch))
            if number in diverged and epoch == len(curves[number]):
                break
            if epoch in been:
                been[epoch][number] = curves[number][epoch - 1]
                if number not in ahead(epoch):
                    waits[number] = epoch


def crashing_run(root: Path, study: Study, seed: int, slots: int) -> gantune.Run:
    rng = random.Random(seed)
    create_run(RunPaths(root), study)
    crasher = Crasher(rng, average=rng.choice([20, 60]))
    with crashing(crasher):
        if slots == 1:
            run_to_its_end(root, study, crasher)
        else:
            run_with_slots(root, study, slots, crasher, rng)
    check_agreement(root, is_over=True)
    return gantune.load(root)


def trained(run: gantune.Run) -> list[tuple[int, int]]:
    rows = run.epochs.sort_values("seq")
    return list(zip(rows["number"], rows["epoch"], strict=True))


def test_who_waits_is_told_from_who_trains(tmp_path: Path) -> None:
    paths, study = RunPaths(tmp_path / "tiny"), plan_of(0, factor=3)
    create_run(paths, study)
    conductor, host = Conductor(paths, study, Silent()), ToyHost(at_once=1)

    def train(epoch: int) -> int:
        """The next trial up to an epoch; the rungs are at 1 and 3."""
        spec = conductor.ask()
        assert spec is not None
        host.open(spec)
        for until in range(1, epoch + 1):
            progress = host.advance(spec.number, until, 0)
            conductor.observe(spec.number, progress.records, progress.steps, "w")
        if epoch == 1:
            conductor.finish(spec.number, failed=False)
        return spec.number

    def statuses() -> list[str]:
        with hold_lock(paths.lock):
            return list(gantune.load(paths.root).trials["status"])

    for _ in range(3):
        train(1)
    assert statuses() == ["waiting"] * 3
    promoted = train(2)
    newest = conductor.ask()
    assert newest is not None and newest.number == 3  # it has no record yet
    conductor.close()
    at_work = (promoted, newest.number)
    assert statuses() == ["running" if n in at_work else "waiting" for n in range(4)]
    waits = (promoted + 1) % 3
    with hold_lock(paths.lock):
        stop(str(paths.root), trial=waits)
    assert [path.name for path in paths.control.iterdir()] == [f"stop-{waits}"]
    assert set(gantune.load(paths.root).trials["status"]) == {"interrupted"}


def test_who_waits_can_be_ended_by_hand_and_a_stopped_run_goes_on_with_those_that_wait(
    tmp_path: Path,
) -> None:
    paths, study = RunPaths(tmp_path / "tiny"), plan_of(0)
    create_run(paths, study)
    conductor, host = Conductor(paths, study, Silent()), ToyHost()
    for number in range(2):
        spec = conductor.ask()
        assert spec is not None and spec.number == number
        host.open(spec)
        progress = host.advance(number, 1, 0)
        assert not conductor.observe(number, progress.records, progress.steps, "w")
        conductor.finish(number, failed=False)
    better, worse = sorted((0, 1), key=lambda n: conductor.ledger.records[n][0]["objective"])
    paths.control.mkdir()
    (paths.control / f"stop-{better}").touch()
    spec = conductor.ask()  # the worse one of two may not go on in its place
    assert spec is not None and spec.number == 2
    assert conductor.ledger.ends[better]["stopped_by"] == "user"
    (paths.control / "stop-all").touch()
    assert conductor.ask() is None and conductor.was_stopped and not conductor.awaits
    assert list(conductor.ledger.ends) == [better]
    conductor.close()
    (paths.control / "stop-all").unlink()
    run_to_its_end(paths.root, study)
    check_agreement(paths.root, is_over=True)
    assert gantune.load(paths.root).trials["stopped_by"][worse] == "asha"


STUDIES = [pytest.param(4, marks=pytest.mark.slow), pytest.param(12, marks=pytest.mark.long)]


@pytest.mark.parametrize("studies", STUDIES)
def test_one_slot_goes_the_way_of_the_rule(tmp_path: Path, studies: int) -> None:
    lengths = set()
    for seed in range(studies):
        study = plan_of(seed, factor=2 + seed % 2)
        run = crashing_run(tmp_path / str(seed), study, seed, slots=1)
        diverged = set(run.trials["number"][run.trials["status"] == "diverged"])
        assert trained(run) == course_by_hand(study, curves_of(run), diverged), seed
        ends = run.trials[run.trials["status"] == "stopped"]
        assert set(ends["stopped_by"]) == {"asha"}
        lengths |= set(ends["epochs"])
    assert lengths >= {1, 2, 3}


@pytest.mark.parametrize("studies", STUDIES)
def test_several_slots_let_go_on_who_may_and_leave_nobody_behind(
    tmp_path: Path, studies: int
) -> None:
    for seed in range(studies):
        study = plan_of(seed)
        run = crashing_run(tmp_path / str(seed), study, seed, SLOTS)
        order, curves = trained(run), curves_of(run)
        diverged = set(run.trials["number"][run.trials["status"] == "diverged"])
        # New trials are asked for before their first record: the last ones in three slots.
        all_asked = sorted(order.index((number, 1)) for number in curves)[-SLOTS]
        for level in levels_by_hand(study):
            left = {n: i for i, (n, epoch) in enumerate(order) if epoch == level + 1}
            arrived = {
                n: i
                for i, (n, epoch) in enumerate(order)
                if epoch == level and not (n in diverged and level == len(curves[n]))
            }
            values = {n: curves[n][level - 1] for n in arrived}
            for number, moment in left.items():
                # At one of the moments between its coming and its going.
                moments = range(arrived[number] + 1, moment + 1)
                least = int(moment > all_asked)
                assert any(number in ahead(values, arrived, m, least) for m in moments), seed
            assert ahead(values, arrived, len(order), 1) <= set(left), (seed, level)


def ahead(values: dict[int, float], arrived: dict[int, int], moment: int, least: int) -> set[int]:
    """Who might have gone on at a moment: the best half of those that had come by."""
    there = sorted((values[n], n) for n, came in arrived.items() if came < moment)
    return {number for _, number in there[: max(least, len(there) // 2)]}


PROMOTES = """\
scheduler: {name: asha_promotion, grace_epochs: 1, reduction_factor: 2}
checkpoint: {keep_top: 2}"""


@pytest.mark.long
def test_a_real_study_goes_the_way_of_the_rule_and_shows_who_waits(tmp_path: Path) -> None:
    """Weights of most that wait are removed: one of them that goes on is trained again."""
    study = re.sub("scheduler: .*", PROMOTES, DIGITS).replace("trials: 24", "trials: 12")
    (tmp_path / "digits.yaml").write_text(study)
    done = call("run", "digits.yaml", "--concurrency", "1", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    run = gantune.load(tmp_path / "runs" / "digits")
    assert run.study.scheduler.name == "asha_promotion" and run.study.checkpoint.keep_top == 2
    assert trained(run) == course_by_hand(run.study, curves_of(run), set())
    check_agreement(tmp_path / "runs" / "digits", is_over=True)
    assert (run.trials["status"] == "completed").sum() >= 1
    assert run.best().generator().sample(2, 0).shape == (2, 1, 8, 8)


def _the_first_goes_on(patch: pytest.MonkeyPatch) -> None:
    best = Promotions._best
    patch.setattr(Promotions, "_best", lambda self, level, at_least: best(self, level, 1))


def _the_lowest_rung_comes_first(patch: pytest.MonkeyPatch) -> None:
    def promote(self: Promotions, at_least: int) -> int | None:
        for level in sorted(self._values):
            for number in self._best(level, at_least):
                if self._waiting.get(number) == level:
                    self.leave(number)
                    return number
        return None

    patch.setattr(Promotions, "promote", promote)


def _who_waits_has_ended(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Promotions, "promote", lambda self, at_least: None)


def _it_stops_for_good(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(schedulers, "Promotions", Rungs)


@pytest.mark.slow
@pytest.mark.parametrize(
    "fault",
    [_the_first_goes_on, _the_lowest_rung_comes_first, _who_waits_has_ended, _it_stops_for_good],
)
def test_each_fault_is_found(fault: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fault(monkeypatch)
    for seed in range(6):
        study = plan_of(seed)
        create_run(RunPaths(tmp_path / str(seed)), study)
        run_to_its_end(tmp_path / str(seed), study)
        run = gantune.load(tmp_path / str(seed))
        diverged = set(run.trials["number"][run.trials["status"] == "diverged"])
        try:
            if trained(run) != course_by_hand(study, curves_of(run), diverged):
                return
        except IndexError:  # an epoch is asked for that nobody trained
            return
    pytest.fail("the recomputation did not notice")
