"""Optuna's study and our tables say the same of every trial, however trials and sessions end.

Random courses of a study: up to three slots, trials that complete, diverge, fail, are stopped by
the scheduler, by their verdict, by hand or by a budget; workers that die; sessions that are
interrupted, stopped, crash at any write or find the disk full; resumes and extensions. When a
session has closed the run, and now and then when one has opened it, what ``gantune.load`` shows is
compared with the journal as Optuna itself reads it.
"""

import errno
import json
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import Any

import optuna
import pandas as pd
import pytest
from conftest import make_study
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, Trial, TrialState
from toy import Crash, Crasher, ToyHost, crashing

import gantune
from gantune import records
from gantune.api import Silent
from gantune.paths import RunPaths
from gantune.runinfo import begin_session
from gantune.study import Study
from gantune.trial import TrialSpec
from gantune.tuning import journal
from gantune.tuning.conductor import Conductor
from gantune.tuning.extension import Extension, dumped, extended
from gantune.tuning.lifecycle import create_run, finish_run, rewrite_study

# A process that dies closes no files.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

CONTROL_COURSES = 30

EVERY_END = {
    # Of a trial:
    *("completed", "diverged", "failed"),
    *("stopped by asha", "stopped by verdict", "stopped by user", "stopped by budget"),
    # Of a worker, of a session, of a run:
    *("worker died", "crash", "disk full", "interrupted", "stopped", "finished", "extended"),
}

STATES = {
    "completed": TrialState.COMPLETE,
    "stopped": TrialState.PRUNED,
    "diverged": TrialState.PRUNED,
    "failed": TrialState.FAIL,
    # Not ended: what Optuna has to wait for.
    "running": TrialState.RUNNING,
    "interrupted": TrialState.RUNNING,
}


# The comparison. It reads gantune's frames and Optuna's journal, and nothing else of gantune.


def check_agreement(root: Path, *, is_over: bool) -> None:
    """Compares everything that both sides know of a run that nobody drives."""
    run = gantune.load(root)
    told = {trial.number: trial for trial in read_journal(root)}
    rows = run.trials.set_index("number")
    assert set(rows.index) <= set(told)
    assert not is_over or set(rows.index) == set(told)
    for number, trial in told.items():
        if number not in rows.index:  # asked for, and not begun
            assert trial.state == TrialState.RUNNING
            continue
        row = rows.loc[number]
        records = run.epochs[run.epochs["number"] == number]
        assert list(records["epoch"]) == list(range(1, len(records) + 1))
        assert trial.state == STATES[row["status"]]
        assert not is_over or trial.state.is_finished()
        check_parameters(trial, row, run.study)
        if trial.state.is_finished():
            assert trial.user_attrs["status"] == row["status"]
            assert row["epochs"] == len(records)
            check_values(trial, row, records, run.study)


def read_journal(root: Path) -> list[FrozenTrial]:
    storage = JournalStorage(JournalFileBackend(str(root / "optuna.journal")))
    return optuna.load_study(study_name=None, storage=storage).get_trials()


def check_parameters(trial: FrozenTrial, row: "pd.Series[Any]", study: Study) -> None:
    """Each of Optuna's parameters is in the table, as the value that the trial has."""
    config = {
        name.removeprefix("config."): value
        for name, value in row.items()
        if name.startswith("config.") and not pd.isna(value)
    }
    for key, value in trial.params.items():
        path = key.removesuffix("@ratio")
        of = study.search[path].times
        if of is not None:
            assert key == f"{path}@ratio"
            assert config[path] == pytest.approx(value * config[of], rel=1e-12)
        elif isinstance(value, str) and value.startswith("json:"):
            assert json.loads(config[path]) == json.loads(value.removeprefix("json:"))
        else:
            assert config[path] == value
    copies = {path: spec.same_as for path, spec in study.search.items() if spec.same_as}
    assert all(config[path] == config[of] for path, of in copies.items())
    told = {key.removesuffix("@ratio") for key in trial.params}
    assert set(config) - told <= {*copies, "train.epochs"}  # the length follows from the images


def check_values(
    trial: FrozenTrial, row: "pd.Series[Any]", records: pd.DataFrame, study: Study
) -> None:
    """Optuna has each evaluated epoch's best so far, and the best of all, where it may."""
    evaluated = records.dropna(subset=["objective"])
    if row["status"] in ("diverged", "failed") or evaluated.empty:
        assert trial.values is None and not trial.intermediate_values
        return
    best = evaluated["objective"].cummin()
    if study.objective.metric == "coverage":  # of which more is better
        best = evaluated["objective"].cummax()
    positions = [position(record, row, study) for record in evaluated.to_dict("records")]
    assert trial.intermediate_values == dict(zip(positions, best, strict=True))
    assert trial.value == row["objective"] == best.iloc[-1]


def position(record: dict[str, Any], row: "pd.Series[Any]", study: Study) -> int:
    """Epochs; seconds; or, as many images as so many epochs of the base trial have."""
    unit = getattr(study.scheduler, "unit", "epochs")
    if unit == "seconds":
        return int(record["wall_s"])
    if unit == "epochs":
        return int(record["epoch"])
    base = study.trial.train
    d_steps = row.get("config.train.d_steps", base.d_steps)
    batch_size = row.get("config.train.batch_size", base.batch_size)
    return round(record["epoch"] * (d_steps * batch_size) / (base.d_steps * base.batch_size))


# The courses.


def random_plan(rng: random.Random) -> Study:
    """A study of any kind that there is."""
    search: dict[str, Any] = {
        "optimizer.generator.lr": {"log_uniform": [1e-5, 1e-2]},
        "optimizer.discriminator.lr": {
            "log_uniform": [0.1, 10],
            "times": "optimizer.generator.lr",
        },
        "optimizer.discriminator.beta1": {"same_as": "optimizer.generator.beta1"},
        "optimizer.generator.beta1": {"uniform": [0.0, 0.9]},
        "generator.hidden": {"choice": [[8], [8, 4]]},
        "penalty.name": {"choice": ["none", "r1"]},
        "penalty.weight": {"uniform": [1, 10], "when": {"penalty.name": "r1"}},
    }
    scheduler: dict[str, Any] = {"grace_epochs": 2, "reduction_factor": 2}
    kind = rng.choice(["epochs", "promotion", "promotion", "images", "seconds", "none"])
    if kind == "images":
        scheduler["unit"] = "images"
        search["train.d_steps"] = {"choice": [1, 2]}
        search["train.batch_size"] = {"choice": [4, 8]}
    elif kind == "promotion":
        scheduler = {"name": "asha_promotion", "grace_epochs": 1, "reduction_factor": 2}
    elif kind == "seconds":
        scheduler = {"unit": "seconds", "grace_seconds": 20, "max_seconds": 90}
    elif kind == "none":
        scheduler = {"name": "none"}
    budget: dict[str, Any] = {"trials": rng.randint(3, 8)}
    if rng.random() < 0.3:
        budget["epochs"] = rng.randint(5, 25)
    trial = {
        "train": {"epochs": rng.choice([6, 9]), "steps_per_epoch": 2, "batch_size": 8},
        "eval": {"samples": 50, "every": rng.choice([1, 2])},
    }
    stop = {"verdicts": ["mode_collapse"], "patience": 2}
    return make_study(
        trial=trial,
        search=search,
        scheduler=scheduler,
        objective={"metric": rng.choice(["frechet_distance", "coverage"])},
        sampler={"name": rng.choice(["tpe", "tpe", "random", "qmc"]), "seed": rng.randrange(99)},
        start=rng.choice([None, []]),
        stop=stop if rng.random() < 0.5 else {},
        budget=budget,
        fail_fast=rng.random() < 0.2,
    )


class Course:
    """A run from its making to its end, with random events on the way."""

    def __init__(self, root: Path, seed: int, averages: Sequence[float] = (15, 40, 200)) -> None:
        """``averages``: writes between two crashes, one of these."""
        self.events: Counter[str] = Counter()
        self._rng = random.Random(seed)
        self._paths, self._plan = RunPaths(root), random_plan(self._rng)
        self._slots = self._rng.choice([1, 2, 3])
        self._more = self._rng.choice([0, 1, 2])
        deaths = (Crash, Crash, lambda: OSError(errno.ENOSPC, "no space"))
        self._crasher = Crasher(self._rng, self._rng.choice(averages), deaths)

    def go(self) -> None:
        """Runs it to its end; checks it whenever nobody writes."""
        create_run(self._paths, self._plan)
        while True:
            try:
                with crashing(self._crasher), crashing_compaction(self._crasher):
                    is_over = self._session()
            except (Crash, OSError, gantune.RunError) as end:
                self.events["crash" if isinstance(end, Crash) else "disk full"] += 1
                self._crasher.reset()
                continue
            check_agreement(self._paths.root, is_over=is_over)
            if is_over and not self._more:
                return
            if is_over:
                self._extend()

    def _extend(self) -> None:
        self._more -= 1
        more = Extension(trials=f"+{self._rng.randint(1, 3)}")
        if self._plan.budget.epochs is not None:
            more = more._replace(epochs=self._plan.budget.epochs + self._rng.randint(1, 20))
        self._plan = extended(self._plan, self._paths, more)
        rewrite_study(self._paths, self._plan)
        self.events["extended"] += 1

    def _session(self) -> bool:
        """A session of the run; whether there is nothing left to do."""
        paths, rng = self._paths, self._rng
        begin_session(paths.info, None, {"study": dumped(self._plan)})
        for request in paths.control.glob("*"):
            request.unlink()
        conductor, host, interrupted = Conductor(paths, self._plan, Silent()), ToyHost(), Event()
        conductor.halts_on(interrupted)
        if rng.random() < 0.25:  # it takes as long as a session
            check_agreement(paths.root, is_over=False)
        running: dict[int, TrialSpec] = {}
        while not conductor.halted:
            while len(running) < self._slots and (spec := conductor.ask()):
                running[spec.number] = spec
                host.open(spec)
            if not running:
                break
            number = rng.choice(sorted(running))
            self._disturb(conductor, host, running[number], interrupted)
            if not self._go_on(conductor, host, running[number]):
                host.close(number)
                del running[number]
        self.events[finish_run(conductor, paths.root).status] += 1
        self._count(conductor)
        return not conductor.halted and conductor.remaining == 0

    def _disturb(
        self, conductor: Conductor, host: ToyHost, spec: TrialSpec, interrupted: Event
    ) -> None:
        paths, chance = self._paths, self._rng.random()
        if chance < 0.1:
            paths.control.mkdir(exist_ok=True)
            what = "all" if chance < 0.02 else spec.number
            (paths.control / f"stop-{what}").touch()
        elif chance < 0.15:
            host.open(spec)  # another worker takes over
            self.events["worker died"] += 1
        elif chance < 0.17:
            interrupted.set()

    def _go_on(self, conductor: Conductor, host: ToyHost, spec: TrialSpec) -> bool:
        """Some epochs of a trial; whether it goes on."""
        number, known = spec.number, conductor.ledger.records.get(spec.number, [])
        try:
            progress = host.advance(number, spec.next_stop(len(known)), 0)
        except OSError as error:  # as the scheduler does with a worker's StorageError
            conductor.fatal = error
            return True
        if self._rng.random() < 0.05:
            # An exception in the epoch after; what it had written is never sent.
            self._paths.error(number).write_text("Traceback ...\nRuntimeError: out of luck\n")
            conductor.finish(number, failed=True)
            return False
        if conductor.observe(number, progress.records, progress.steps, "w"):
            return True
        # What the records say outranks how its worker went.
        conductor.finish(number, failed=self._rng.random() < 0.1)
        return False

    def _count(self, conductor: Conductor) -> None:
        for row in conductor.ledger.ends.values():
            by = f" by {row['stopped_by']}" if row["stopped_by"] else ""
            self.events[row["status"] + by] += 1


@contextmanager
def crashing_compaction(crasher: Crasher) -> Iterator[None]:
    """Also the closing of the books is a place where the process may die."""
    write = records.write_atomically

    def crashes(path: Path, data: bytes) -> None:
        for _ in crasher.at(path.with_name("none")):
            write(path, data)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(records, "write_atomically", crashes)
        yield


@pytest.mark.parametrize(
    "courses",
    [1, pytest.param(12, marks=pytest.mark.slow), pytest.param(300, marks=pytest.mark.long)],
)
def test_optuna_and_the_tables_agree_after_every_end(tmp_path: Path, courses: int) -> None:
    events: Counter[str] = Counter()
    for seed in range(courses):
        course = Course(tmp_path / str(seed), seed)
        try:
            course.go()
        except AssertionError as error:
            error.add_note(f"in course {seed}")
            raise
        events += course.events
    assert courses < 30 or set(events) == EVERY_END, events


# What the comparison finds: each of these faults, within a few courses.


def _an_intermediate_value_is_left_out(patch: pytest.MonkeyPatch) -> None:
    report = Trial.report

    def most(self: Trial, value: float, step: int) -> None:
        if step % 3:
            report(self, value, step)

    patch.setattr(Trial, "report", most)


def _a_diverged_trial_is_told_with_a_value(patch: pytest.MonkeyPatch) -> None:
    tell = journal.tell

    def more(study: optuna.Study, number: int, values: Any, outcome: Any) -> None:
        if outcome.status == "diverged":
            journal.running_trial(study, number).report(1.0, 1)
        tell(study, number, values, outcome)

    patch.setattr(journal, "tell", more)


def _a_stopped_trial_is_told_as_failed(patch: pytest.MonkeyPatch) -> None:
    patch.setitem(journal._STATES, "stopped", TrialState.FAIL)


def _a_completed_trial_is_told_with_its_first_value(patch: pytest.MonkeyPatch) -> None:
    tell = optuna.Study.tell

    def first(self: optuna.Study, number: int, values: Any = None, state: Any = None) -> Any:
        if values is not None:
            values = next(iter(self.get_trials()[number].intermediate_values.values()))
        return tell(self, number, values, state)

    patch.setattr(optuna.Study, "tell", first)


def _a_resumed_run_forgets_to_tell(patch: pytest.MonkeyPatch) -> None:
    replay = Conductor._replay

    def silent(self: Conductor) -> list[int]:
        with pytest.MonkeyPatch.context() as quiet:
            quiet.setattr(journal, "tell", lambda *_: None)
            return replay(self)

    patch.setattr(Conductor, "_replay", silent)


def _optuna_hears_of_an_end_before_the_tables(patch: pytest.MonkeyPatch) -> None:
    end = Conductor._end

    def reversed_order(self: Conductor, number: int, outcome: Any) -> None:
        journal.tell(self.optuna, number, self._judge.told(number), outcome)
        end(self, number, outcome)

    patch.setattr(Conductor, "_end", reversed_order)


def _a_ratio_is_noted_as_the_value(patch: pytest.MonkeyPatch) -> None:
    begin = Conductor._begin

    def ratio(self: Conductor, number: int, values: dict[str, Any]) -> dict[str, Any]:
        of = values["optimizer.generator.lr"]
        share = {"optimizer.discriminator.lr": values["optimizer.discriminator.lr"] / of}
        return begin(self, number, values | share)

    patch.setattr(Conductor, "_begin", ratio)


@pytest.mark.slow
@pytest.mark.parametrize(
    "fault",
    [
        _an_intermediate_value_is_left_out,
        _a_diverged_trial_is_told_with_a_value,
        _a_stopped_trial_is_told_as_failed,
        _a_completed_trial_is_told_with_its_first_value,
        _a_resumed_run_forgets_to_tell,
        _optuna_hears_of_an_end_before_the_tables,
        _a_ratio_is_noted_as_the_value,
    ],
)
def test_each_fault_is_found(
    fault: Callable[[pytest.MonkeyPatch], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fault(monkeypatch)
    for seed in range(CONTROL_COURSES):
        try:
            Course(tmp_path / str(seed), seed, averages=(8,)).go()
        except Exception as error:  # noqa: BLE001 - any failure is what is looked for
            assert not isinstance(error, NotImplementedError | TypeError | AttributeError)
            return
    pytest.fail("the comparison did not notice")
