"""The searches that are compared, by name, and their runs in simulated time."""

import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from pathlib import Path
from typing import NamedTuple

from search_arms import Arm, ByHand, Gantune
from search_figures import Search, best_so_far
from search_record import TASKS, Task, task_study
from search_slots import simulate
from search_surrogate import Surrogate, read_recorded

from gantune.study import Study

SLOTS = 2

UNSTOPPED = ("sampler={name: random}", "scheduler={name: none}", "start=[]")

OURS: dict[str, tuple[str, ...]] = {
    "gantune": (),
    "gantune, start: []": ("start=[]",),
    "random": UNSTOPPED,
    "random + ASHA": ("sampler={name: random}", "start=[]"),
}
"""Searches of gantune's: what they set in the shipped study."""

STOPPING = "gantune, stopping"
"""Where a shipped study promotes: the same with rungs that stop for good."""


class Rungs(NamedTuple):
    """The two options of Ray's ASHAScheduler that a script sets."""

    grace: int
    factor: int


def hand_rungs(study: Study) -> dict[str, Rungs]:
    """Searches by hand: the script's rungs, Ray's defaults, and those of the shipped study."""
    asha = study.scheduler
    assert asha.name != "none"
    return {
        "by hand": Rungs(4, 3),
        "by hand, Ray's rungs": Rungs(1, 4),
        "by hand, gantune's rungs": Rungs(asha.grace_epochs, asha.reduction_factor),
    }


def search_study(task: Task, seed: int, budget: int, *overrides: str) -> Study:
    """The shipped study with a search's seed and its budget of epochs."""
    return task_study(
        task,
        *overrides,
        f"seed={seed}",
        f"sampler.seed={seed}",
        "budget.trials=100000",
        f"budget.epochs={budget}",
    )


def searches(task: Task) -> list[str]:
    """The names of all that are compared."""
    study = task_study(task)
    stopping = [STOPPING] if study.scheduler.name == "asha_promotion" else []
    return [*OURS, *stopping, *hand_rungs(study)]


def make_arm(task: Task, name: str, seed: int, folder: Path) -> Arm:
    """A search that has not begun."""
    ours = OURS | {STOPPING: ("scheduler.name=asha",)}
    if name in ours:
        study = search_study(task, seed, task.budget, *ours[name])
        return Gantune(study, folder / "run")
    study = task_study(task)
    return ByHand(study, seed, *hand_rungs(study)[name])


class _Known:
    """What a process that simulates has made once: the surrogate of its task."""

    surrogate: Surrogate


def _prepare(task: Task, table: Path) -> None:
    study = task_study(task)
    _Known.surrogate = Surrogate(study, read_recorded(table, study.objective.direction))


def _simulated(task_name: str, name: str, seed: int) -> Search:
    budget = TASKS[task_name].budget
    with tempfile.TemporaryDirectory() as folder:
        arm = make_arm(TASKS[task_name], name, seed, Path(folder))
        spent = simulate(arm, _Known.surrogate, budget, SLOTS)
        arm.close()
    best = best_so_far([epoch.objective for epoch in spent], budget)
    return Search(task_name, "simulated", name, seed, best)


def simulated(task_name: str, reports: Path, done: Callable[[Search], None]) -> list[Search]:
    """Every search on the recorded trials of a task, all seeds."""
    task, found = TASKS[task_name], list[Search]()
    asked = [(name, seed) for name in searches(task) for seed in range(task.seeds)]
    prepared = (task, reports / f"{task_name}.parquet")
    with ProcessPoolExecutor(initializer=_prepare, initargs=prepared) as pool:
        for search in pool.map(_simulated, repeat(task_name), *zip(*asked, strict=True)):
            found.append(search)
            done(search)
    return found
