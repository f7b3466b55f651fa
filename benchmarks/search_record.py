"""The studies on which searches are compared, and real trials of them, recorded once."""

import json
import threading
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
from machine import describe

from gantune.api import Silent
from gantune.host import Host
from gantune.loader import load_study
from gantune.lock import hold_lock
from gantune.paths import RunPaths
from gantune.study import Study
from gantune.tuning.conductor import Conductor
from gantune.tuning.ledger import Ledger
from gantune.tuning.local import drive

SEARCH_SPACES = Path(__file__).parent.parent / "search_spaces"
REPORT_S = 60.0
RECORD_SEED = 1000
"""Of the recorded trials; that of no search that is compared."""


class Task(NamedTuple):
    """A study that searches are compared on.

    Attributes:
        file: The shipped study.
        rounds: Per epoch; fewer than in the file, so that a few hundred trials can be trained.
        trials: To record.
        drawn: Of them at random; the rest by TPE, to have more of them where searches go.
        budget: Epochs that each search is given: the study's own trials, all in full length.
        seeds: Of the simulated searches.
    """

    file: str
    rounds: int
    trials: int
    drawn: int
    budget: int
    seeds: int = 40


TASKS = {
    "digits": Task("lr_beta.yaml", 60, 300, 100, 24 * 40),
    "grid": Task("mode_coverage_penalty.yaml", 125, 240, 120, 24 * 40, seeds=120),
    "rates": Task("mode_coverage_rates.yaml", 200, 180, 120, 32 * 20),
    "packing": Task("mode_coverage_grid.yaml", 100, 119, 80, 16 * 20),
}


def task_study(task: Task, *overrides: str) -> Study:
    """The study of a task, with what is set in it."""
    short = f"train.steps_per_epoch={task.rounds}"
    quiet = ("samples.every=0", "checkpoint.every=1000")
    return load_study(SEARCH_SPACES / task.file, [short, *quiet, *overrides])


def record(name: str, folder: Path, minutes: float) -> bool:
    """Trains the task's trials to their full length, one after the other.

    Goes on where it stopped, as `gantune resume` does.

    Args:
        name: Of the task.
        folder: Where its run is kept.
        minutes: At most so long.

    Returns:
        Whether all are trained.
    """
    task = TASKS[name]
    sampler = f"sampler={{name: tpe, seed: {RECORD_SEED}, startup_trials: {task.drawn}}}"
    study = task_study(task, sampler, "scheduler={name: none}", f"budget.trials={task.trials}")
    paths = RunPaths(folder / name)
    paths.root.mkdir(parents=True, exist_ok=True)
    is_late = threading.Event()
    timer = threading.Timer(60 * minutes, is_late.set)
    timer.start()
    with hold_lock(paths.lock):
        conductor = Conductor(paths, study, Silent())
        conductor.halts_on(is_late)
        drive(conductor, Host(), REPORT_S)
        conductor.close()
    timer.cancel()
    if conductor.fatal:
        raise conductor.fatal
    return not conductor.remaining


def write_trials(name: str, folder: Path, path: Path) -> None:
    """Writes every epoch of the recorded trials that have ended as one Parquet file."""
    paths = RunPaths(folder / name)
    with hold_lock(paths.lock):
        ledger = Ledger(paths, task_study(TASKS[name]))
        ledger.close()
    rows = [record for number in sorted(ledger.ends) for record in ledger.records[number]]
    parameters = [json.loads(ledger.starts[row["number"]]["parameters"]) for row in rows]
    columns: dict[str, pa.Array] = {
        "number": pa.array([row["number"] for row in rows], pa.int16()),
        "epoch": pa.array([row["epoch"] for row in rows], pa.int16()),
    }
    for searched in task_study(TASKS[name]).search:
        columns[searched] = pa.array([values.get(searched) for values in parameters])
    for measured in ("objective", "best_objective", "d_acc"):
        columns[measured] = pa.array([row[measured] for row in rows], pa.float32())
    columns["verdict"] = pa.array([row["verdict"] for row in rows])
    table = pa.table(columns, metadata={"machine": describe()})
    pq.write_table(table, path, compression="zstd", compression_level=19)
