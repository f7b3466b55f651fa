"""Resume is replay: a crash at any write, and the study ends as if there had been none."""

import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from conftest import make_study
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState
from toy import Crash, Crasher, ToyHost, crashing

from gantune.api import Silent
from gantune.columns import TIMES
from gantune.paths import RunPaths
from gantune.records import TableWriter, read_table
from gantune.study import Study, with_values
from gantune.tuning import conductor as conductor_module
from gantune.tuning import journal
from gantune.tuning.conductor import Conductor
from gantune.tuning.local import drive
from gantune.tuning.rungs import Rungs
from gantune.tuning.sampler import Seeded
from gantune.tuning.specs import make_spec

# A process that dies closes no files.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

CONTROL_STUDIES = 30


PROMOTION: dict[str, Any] = {
    "name": "asha_promotion",
    "grace_epochs": 1,
    "reduction_factor": 2,
}

COLLAPSE: dict[str, Any] = {"verdicts": ["mode_collapse"], "patience": 2}


def study(trials: int = 7, seed: int = 0, **sections: Any) -> Study:
    plan: dict[str, Any] = {
        "trial": {"train": {"epochs": 6, "steps_per_epoch": 2, "batch_size": 8}},
        "scheduler": {"grace_epochs": 2, "reduction_factor": 2},
        "sampler": {"seed": seed, "startup_trials": 3},
        "budget": {"trials": trials},
    }
    return make_study(**(plan | sections))


def run_to_its_end(root: Path, plan: Study, crasher: Crasher | None = None) -> int:
    """One slot; returns how often it crashed."""
    root.mkdir(exist_ok=True)
    crashes = 0
    while True:
        try:
            conductor = Conductor(RunPaths(root), plan, Silent())
            drive(conductor, ToyHost())
        except Crash:
            assert crasher is not None
            crasher.reset()
            crashes += 1
        else:
            conductor.close()
            return crashes


def run_with_slots(
    root: Path, plan: Study, slots: int, crasher: Crasher, rng: random.Random, at_once: int = 2
) -> int:
    """Several trials at once in random turns, so many epochs a turn; a worker may die too."""
    root.mkdir(exist_ok=True)
    crashes = 0
    while True:
        try:
            conductor, host = Conductor(RunPaths(root), plan, Silent()), ToyHost(at_once)
            running: dict[int, Any] = {}
            while True:
                while len(running) < slots and (spec := conductor.ask()):
                    running[spec.number] = spec
                    host.open(spec)
                if not running:
                    conductor.close()
                    return crashes
                spec = running[rng.choice(sorted(running))]
                if rng.random() < 0.05:  # its worker dies, a new one takes over from ``last``
                    host.open(spec)
                until = spec.next_stop(host.epoch(spec.number))
                progress = host.advance(spec.number, until, 0)
                if not conductor.observe(spec.number, progress.records, progress.steps, "w"):
                    conductor.finish(spec.number, failed=False)
                    del running[spec.number]
        except Crash:
            crasher.reset()
            crashes += 1


def tables(root: Path) -> dict[str, Any]:
    """Everything that must not depend on crashes."""
    paths = RunPaths(root)
    found: dict[str, Any] = {}
    for name in ("epochs", "steps", "trials"):
        rows = read_table(paths.table(name)).to_pylist()
        found[name] = [
            {k: v for k, v in row.items() if k not in TIMES | {"trial_id"}} for row in rows
        ]
    found["journal"] = [
        (t.number, t.state, t.values, t.params, t.intermediate_values, t.user_attrs)
        for t in reopen(paths).get_trials()
    ]
    return found


def reopen(paths: RunPaths) -> optuna.Study:
    sampler = optuna.samplers.RandomSampler()
    return journal.open_journal(paths.journal, "tiny", ["minimize"], sampler)


def check_consistent(root: Path, trials: int) -> None:
    """Every trial ended once, epochs 1..k without a gap, and Optuna knows the same."""
    found = tables(root)
    ends = [row for row in found["trials"] if row["status"] != "running"]
    assert sorted(row["number"] for row in ends) == list(range(trials))
    by_trial: dict[int, list[Any]] = {}
    for row in found["epochs"]:
        by_trial.setdefault(row["number"], []).append(row)
    assert [row["seq"] for row in found["epochs"]] == list(range(len(found["epochs"])))
    states = {
        "completed": TrialState.COMPLETE,
        "stopped": TrialState.PRUNED,
        "diverged": TrialState.PRUNED,
    }
    for end in ends:
        rows = by_trial[end["number"]]
        assert [row["epoch"] for row in rows] == list(range(1, end["epochs"] + 1))
        _, state, values, _, intermediate, attrs = found["journal"][end["number"]]
        assert state == states[end["status"]] and attrs["status"] == end["status"]
        if end["status"] == "diverged":
            assert values is None and not intermediate
        else:
            assert intermediate == {r["epoch"]: r["best_objective"] for r in rows}
            assert values == [end["objective"]]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], dict[str, Any]]:
    made: dict[int, dict[str, Any]] = {}

    def get(seed: int) -> dict[str, Any]:
        if seed not in made:
            root = tmp_path_factory.mktemp("undisturbed")
            run_to_its_end(root, study(seed=seed))
            made[seed] = tables(root)
        return made[seed]

    return get


@pytest.mark.slow
def test_an_undisturbed_study_has_every_kind_of_end(undisturbed: Callable[[int], Any]) -> None:
    endings = {row["status"] for seed in range(3) for row in undisturbed(seed)["trials"]}
    assert endings == {"running", "completed", "stopped", "diverged"}


@pytest.mark.parametrize(
    "studies",
    [3, pytest.param(20, marks=pytest.mark.slow), pytest.param(150, marks=pytest.mark.long)],
)
def test_one_slot_equals_the_undisturbed_study_after_any_crashes(
    tmp_path: Path, undisturbed: Callable[[int], Any], studies: int
) -> None:
    crashes = 0
    for number in range(studies):
        rng, seed, root = random.Random(number), number % 3, tmp_path / str(number)
        crasher = Crasher(rng, average=rng.choice([5, 15, 40]))
        with crashing(crasher):
            crashes += run_to_its_end(root, study(seed=seed), crasher)
        assert tables(root) == undisturbed(seed), number
        check_consistent(root, 7)
    assert crashes > 5 * studies


@pytest.mark.slow
@pytest.mark.parametrize("studies", [3, pytest.param(60, marks=pytest.mark.long)])
def test_a_stop_by_verdict_is_the_same_after_any_crashes(tmp_path: Path, studies: int) -> None:
    plan = study(stop=COLLAPSE)
    run_to_its_end(tmp_path / "undisturbed", plan)
    expected = tables(tmp_path / "undisturbed")
    ends = [row for row in expected["trials"] if row["stopped_by"] == "verdict"]
    assert ends and {row["status"] for row in ends} == {"stopped"}
    for row in ends:  # collapsed in epochs 3 and 4: patience is 2
        assert row["epochs"] == 4
        _, state, _, _, intermediate, _ = expected["journal"][row["number"]]
        assert state == TrialState.PRUNED and sorted(intermediate) == [1, 2, 3, 4]
    for number in range(studies):
        rng, root = random.Random(number), tmp_path / str(number)
        crasher = Crasher(rng, average=rng.choice([5, 15, 40]))
        with crashing(crasher):
            run_to_its_end(root, plan, crasher)
        assert tables(root) == expected, number
        check_consistent(root, 7)


COURSES: dict[str, dict[str, Any]] = {
    "images": {
        "search": {
            "optimizer.generator.lr": {"log_uniform": [1e-5, 1e-2]},
            "train.d_steps": {"choice": [1, 2]},
        },
        "scheduler": {"unit": "images", "grace_epochs": 2, "reduction_factor": 2},
    },
    "seconds": {
        "scheduler": {
            "unit": "seconds",
            "grace_seconds": 20,
            "max_seconds": 60,
            "reduction_factor": 2,
        },
    },
    "epochs": {"budget": {"trials": 7, "epochs": 17}},
    "start": {"start": [{"optimizer.generator.lr": 1e-3}]},
    "promotion": {"scheduler": PROMOTION, "budget": {"trials": 9}},
    "promotion in images": {
        "search": {
            "optimizer.generator.lr": {"log_uniform": [1e-5, 1e-2]},
            "train.d_steps": {"choice": [1, 2]},
        },
        "scheduler": PROMOTION | {"unit": "images"},
    },
    "promotion within epochs": {
        "scheduler": PROMOTION,
        "budget": {"trials": 12, "epochs": 23},
    },
}


@pytest.mark.slow
@pytest.mark.parametrize("studies", [4, pytest.param(20, marks=pytest.mark.long)])
@pytest.mark.parametrize("course", COURSES)
def test_other_courses_are_the_same_after_any_crashes(
    tmp_path: Path, course: str, studies: int
) -> None:
    plan = study(**COURSES[course])
    run_to_its_end(tmp_path / "undisturbed", plan)
    expected = tables(tmp_path / "undisturbed")
    crashes = 0
    for number in range(studies):
        rng, root = random.Random(number), tmp_path / str(number)
        crasher = Crasher(rng, average=rng.choice([5, 15, 40]))
        with crashing(crasher):
            crashes += run_to_its_end(root, plan, crasher)
        assert tables(root) == expected, number
    assert crashes > 2 * studies


@pytest.mark.slow
def test_a_stop_by_verdict_holds_with_several_slots(tmp_path: Path) -> None:
    found = 0
    for number in range(3):
        rng, root = random.Random(number), tmp_path / str(number)
        crasher = Crasher(rng, average=30)
        with crashing(crasher):
            run_with_slots(root, study(seed=number, stop=COLLAPSE), 3, crasher, rng)
        check_consistent(root, 7)
        rows = [row for row in tables(root)["trials"] if row["status"] != "running"]
        for row in rows:
            may_stop = row["number"] % 3 == 1 and row["epochs"] == 4
            assert (row["stopped_by"] == "verdict") == may_stop
            assert row["epochs"] <= 4 or row["number"] % 3 != 1
            found += may_stop
    assert found


@pytest.mark.slow
@pytest.mark.parametrize("studies", [8, pytest.param(100, marks=pytest.mark.long)])
def test_several_slots_stay_consistent_after_any_crashes(tmp_path: Path, studies: int) -> None:
    crashes = 0
    for number in range(studies):
        rng, root = random.Random(number), tmp_path / str(number)
        crasher = Crasher(rng, average=25)
        with crashing(crasher):
            crashes += run_with_slots(root, study(seed=number), 3, crasher, rng)
        check_consistent(root, 7)
    assert crashes > studies


@pytest.mark.slow
def test_a_longer_study_begins_as_the_shorter_one(tmp_path: Path) -> None:
    run_to_its_end(tmp_path / "a", study(5))
    run_to_its_end(tmp_path / "a", study(9))
    run_to_its_end(tmp_path / "b", study(9))
    assert tables(tmp_path / "a") == tables(tmp_path / "b")


def test_a_record_that_was_sent_again_is_dropped(tmp_path: Path) -> None:
    conductor, host = Conductor(RunPaths(tmp_path), study(), Silent()), ToyHost()
    spec = conductor.ask()
    assert spec is not None
    host.open(spec)
    progress = host.advance(spec.number, 1, 0)
    for _ in range(3):
        conductor.observe(spec.number, progress.records, progress.steps, "w")
    assert len(tables(tmp_path)["epochs"]) == 1 and len(tables(tmp_path)["steps"]) == 1


def test_a_failed_trial_is_told_as_failed_with_its_last_line(tmp_path: Path) -> None:
    conductor = Conductor(RunPaths(tmp_path), study(), Silent())
    spec = conductor.ask()
    assert spec is not None
    error = RunPaths(tmp_path).error(spec.number)
    error.parent.mkdir(parents=True)
    error.write_text("Traceback ...\nRuntimeError: out of luck\n")
    conductor.finish(spec.number, failed=True)
    (end,) = (row for row in tables(tmp_path)["trials"] if row["status"] == "failed")
    assert end["error"] == "RuntimeError: out of luck"
    assert tables(tmp_path)["journal"][0][1] == TrialState.FAIL


def test_a_failed_trial_is_tried_again_if_its_end_was_not_written(tmp_path: Path) -> None:
    """Told to Optuna before its end row, it would be lost between the two."""
    conductor = Conductor(RunPaths(tmp_path), study(), Silent())
    spec = conductor.ask()
    assert spec is not None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TableWriter, "append", lambda self, rows: (_ for _ in ()).throw(Crash))
        with pytest.raises(Crash):
            conductor.finish(spec.number, failed=True)
    again = Conductor(RunPaths(tmp_path), study(), Silent()).ask()
    assert again is not None and again == spec


def test_optuna_hears_of_an_end_in_two_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each write waits for the disk: a line at a time, 20 epochs would wait 22 times."""
    conductor, host = Conductor(RunPaths(tmp_path), study(start=None), Silent()), ToyHost()
    spec = conductor.ask()
    assert spec is not None
    host.open(spec)
    for _ in range(spec.epochs // 2):
        progress = host.advance(spec.number, spec.epochs, 0)
        conductor.observe(spec.number, progress.records, progress.steps, "w")
    writes: list[int] = []
    append = JournalFileBackend.append_logs

    def counted(self: JournalFileBackend, logs: list[dict[str, Any]]) -> None:
        writes.append(len(logs))
        append(self, logs)

    monkeypatch.setattr(JournalFileBackend, "append_logs", counted)
    conductor.finish(spec.number, failed=False)
    assert writes == [1 + spec.epochs, 1]
    (told,) = reopen(RunPaths(tmp_path)).get_trials()
    assert sorted(told.intermediate_values) == list(range(1, spec.epochs + 1))


def test_a_stale_lock_of_optuna_is_not_waited_for(tmp_path: Path) -> None:
    """kill -9 leaves it behind; Optuna then waits for half a minute."""
    run_to_its_end(tmp_path, study(2))
    (tmp_path / "optuna.journal.lock").symlink_to("optuna.journal")
    began = time.monotonic()
    run_to_its_end(tmp_path, study(3))
    assert time.monotonic() - began < 5


def test_a_configuration_that_turns_out_invalid_fails_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The checks before the start sample the space; a hole in it can be met later."""

    def holes(paths: RunPaths, plan: Study, start: Any, config: Any) -> Any:
        if start["number"] in (0, 2):
            config = with_values(config, {"optimizer.generator.lr": -1.0})
        return make_spec(paths, plan, start, config)

    monkeypatch.setattr("gantune.tuning.conductor.make_spec", holes)
    run_to_its_end(tmp_path, study(4))
    found = tables(tmp_path)
    ends = {row["number"]: row for row in found["trials"] if row["status"] != "running"}
    assert sorted(ends) == [0, 1, 2, 3]
    assert [ends[n]["status"] == "failed" for n in range(4)] == [True, False, True, False]
    assert "no valid configuration" in ends[0]["error"]
    assert found["journal"][0][1] == TrialState.FAIL


# What each rule is for: without it, the loop above finds a difference.


def _journal_tail_is_not_cut(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(journal, "cut_torn_line", lambda path: None)


def _one_generator_per_session(patch: pytest.MonkeyPatch) -> None:
    def plain(options: Any, space: Any, start: Any, prior: Any) -> optuna.samplers.BaseSampler:
        return optuna.samplers.TPESampler(seed=options.seed, n_startup_trials=3)

    patch.setattr(conductor_module, "Seeded", plain)


def _one_generator_per_trial(patch: pytest.MonkeyPatch) -> None:
    carried: dict[tuple[int, int], optuna.samplers.TPESampler] = {}

    def carries(self: Seeded, study: Any, trial: Any, name: str, distribution: Any) -> Any:
        key = (id(study), trial.number)
        fresh = optuna.samplers.TPESampler(seed=trial.number, n_startup_trials=3)
        sampler = carried.setdefault(key, fresh)
        return sampler.sample_independent(study, trial, name, distribution)

    patch.setattr(Seeded, "sample_independent", carries)


def _rungs_are_not_refilled(patch: pytest.MonkeyPatch) -> None:
    replay = Conductor._replay

    def without(self: Conductor) -> list[int]:
        waiting = replay(self)
        self._judge._rungs = Rungs(self.study.rungs, 2)
        return waiting

    patch.setattr(Conductor, "_replay", without)


def _records_are_not_sent_again(patch: pytest.MonkeyPatch) -> None:
    opens = ToyHost.open

    def without(self: ToyHost, spec: Any) -> int:
        handle = opens(self, spec)
        self._open[handle]["unsent"] = False
        return handle

    patch.setattr(ToyHost, "open", without)


@pytest.mark.parametrize(
    "control",
    [
        _journal_tail_is_not_cut,
        _one_generator_per_session,
        _one_generator_per_trial,
        _rungs_are_not_refilled,
        _records_are_not_sent_again,
    ],
)
def test_each_rule_is_needed(
    control: Callable[[pytest.MonkeyPatch], None],
    tmp_path: Path,
    undisturbed: Callable[[int], Any],
) -> None:
    expected = [undisturbed(seed) for seed in range(3)]
    broken = 0
    for number in range(CONTROL_STUDIES):
        rng, seed, root = random.Random(number), number % 3, tmp_path / str(number)
        crasher = Crasher(rng, average=8)
        with pytest.MonkeyPatch.context() as patch:
            control(patch)
            try:
                with crashing(crasher):
                    run_to_its_end(root, study(seed=seed), crasher)
                broken += tables(root) != expected[seed]
            except Exception as error:  # noqa: BLE001 - any failure is what is looked for
                assert not isinstance(error, NotImplementedError)
                broken += 1
        if broken:
            return
    pytest.fail("the loop did not notice")


def test_a_searched_seed_is_the_trials_own(tmp_path: Path) -> None:
    plan = make_study(
        search={"seed": {"int": [0, 1]}, "train.d_steps": {"choice": [1, 2]}},
        sampler={"name": "grid"},
    )
    run_to_its_end(tmp_path / "run", plan)
    rows = read_table(RunPaths(tmp_path / "run").table("trials")).to_pylist()
    starts = {row["number"]: row["seed"] for row in rows if row["seed"] is not None}
    assert sorted(starts.values()) == [0, 0, 1, 1]
