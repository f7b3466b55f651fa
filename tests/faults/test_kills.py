"""The kill loop: studies of 12 trials whose driver, or workers, die at random moments.

The nodes of a cluster die in test_nodes.py.
"""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import PIPE
from typing import Any

import psutil
import pytest
from conftest import make_study
from rounds import Note, Round
from test_cli import TINY, end, epochs_on_disk, kill_driver, sets, start, wait_for, within
from whole import check_whole, tables, went_on

import gantune
from gantune.api import Silent
from gantune.checkpoints import read_checkpoint
from gantune.paths import RunPaths
from gantune.study import Study
from gantune.tuning.runner import run_study

pytestmark = pytest.mark.slow

TRIALS, EPOCHS, KILLS = 12, 24, 3

WORKERS = ("ray::StudyTrain", "ray::ResourceTr")
"""How Ray calls its processes of actors, between calls and within one."""

OPTIONS = [f"train.epochs={EPOCHS}", "train.steps_per_epoch=60", f"budget.trials={TRIALS}"]


@pytest.mark.usefixtures("standing_ray")
@pytest.mark.parametrize(
    ("scheduler", "rounds", "at_most"),
    [("asha_promotion", 3, 1), pytest.param("asha", 20, 3, marks=pytest.mark.long)],
)
def test_kill_minus_nine_of_the_driver_at_any_moment(
    tmp_path: Path, scheduler: str, rounds: int, at_most: int, record_property: Note
) -> None:
    """One slot: after any kills and resumes the tables equal those of an undisturbed run."""
    (tmp_path / "tiny.yaml").write_text(TINY)
    options = [*sets([*OPTIONS, f"scheduler.name={scheduler}"]), "--no-report"]
    whole = within("run", "tiny.yaml", *options, "--concurrency", 1, "--name", "w", cwd=tmp_path)
    assert whole.returncode == 0, whole.stderr
    expected, epochs = tables(tmp_path / "runs" / "w"), epochs_on_disk(tmp_path / "runs" / "w")
    kills = 0
    for number in range(rounds):
        rng, name = random.Random(number), f"killed-{number}"
        this = Round(number, slots=1, epochs=epochs, is_equal=True)
        this.killed_at = killed_until_done(tmp_path, name, options, rng, at_most, epochs)
        kills += len(this.killed_at)
        check_whole(tmp_path / "runs" / name, TRIALS, EPOCHS)
        assert tables(tmp_path / "runs" / name) == expected, number
        this.ends(record_property)
    assert kills >= rounds


def killed_until_done(
    folder: Path, name: str, options: list[str], rng: random.Random, at_most: int, epochs: int
) -> list[int]:
    """Runs a study of so many epochs on one slot, killing its driver so often at most.

    Returns how many epochs were on disk at each kill.
    """
    root: Path = folder / "runs" / name
    killed_at: list[int] = []
    # Workers outlive their driver by seconds: the next session starts beside them.
    left_behind: list[psutil.Process] = []
    while True:
        what = ["resume", name] if root.exists() else ["run", "tiny.yaml", *options, "--name", name]
        process = start(*what, "--concurrency", 1, "--no-report", cwd=folder)
        if len(killed_at) == at_most:
            break
        # Some die before they have done anything, the others anywhere from there to the end.
        seen = epochs_on_disk(root)
        early = time.monotonic() + rng.uniform(1, 8) if rng.random() < 0.25 else float("inf")
        aim = seen + rng.randrange(1, max(2, epochs - seen + 1))
        while process.poll() is None and epochs_on_disk(root) < aim and time.monotonic() < early:
            time.sleep(0.05)
        time.sleep(rng.uniform(0, 0.5))
        if process.poll() is not None:
            break
        left_behind += kill_driver(process)
        killed_at.append(epochs_on_disk(root))
    _, err = process.communicate(timeout=300)
    end(left_behind)
    assert process.returncode == 0, err
    return killed_at


def kill_study(**sections: Any) -> Study:
    """The study of the command line's loop, for one in this process."""
    return make_study(
        trial={"train": {"epochs": EPOCHS, "steps_per_epoch": 150, "batch_size": 8}},
        budget={"trials": TRIALS},
        max_failures=100,
        checkpoint={"keep_top": None},
        **sections,
    )


def workers() -> list[psutil.Process]:
    """The processes of actors of Rays that this process has started."""
    children = psutil.Process().children(recursive=True)
    return [process for process in children if process.name().startswith(WORKERS)]


@contextmanager
def worker_killer(root: Path, rng: random.Random, at_most: int, epochs: int) -> Iterator[list[int]]:
    """Kills random workers at moments that a study's epochs are spread over.

    Yields how many epochs were on disk at each kill so far.
    """
    killed: list[int] = []
    killed_at: list[int] = []
    is_over = threading.Event()

    def kill() -> None:
        for aim in sorted(rng.randrange(epochs) for _ in range(at_most)):
            while epochs_on_disk(root) < aim and not is_over.wait(0.05):
                pass
            is_over.wait(rng.uniform(0, 2))  # a report comes every two seconds
            while not is_over.wait(0.05):
                if found := [process for process in workers() if process.pid not in killed]:
                    victim = rng.choice(found)
                    victim.kill()
                    killed.append(victim.pid)
                    killed_at.append(epochs_on_disk(root))
                    break

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        yield killed_at
    finally:
        is_over.set()
        thread.join()


@pytest.mark.usefixtures("standing_ray")
@pytest.mark.parametrize("rounds", [3, pytest.param(20, marks=pytest.mark.long)])
def test_workers_killed_at_any_moment(tmp_path: Path, rounds: int, record_property: Note) -> None:
    """On one slot and two in turn; on one the tables equal those of an undisturbed run."""
    study, done = kill_study(), []
    whole = gantune.run(study, name="w", runs_dir=tmp_path, concurrency=1)
    epochs = epochs_on_disk(whole.root)
    for number in range(rounds):
        this, name = Round(number, slots=1 + number % 2), f"k{number}"
        with worker_killer(tmp_path / name, random.Random(number), KILLS, epochs) as this.killed_at:
            run = gantune.run(study, name=name, runs_dir=tmp_path, concurrency=this.slots)
        check_whole(run.root, TRIALS, EPOCHS)
        if this.slots == 1:
            assert tables(run.root) == tables(whole.root), number
            this.is_equal = True
        this.epochs, this.lost = epochs_on_disk(run.root), went_on(run.root)
        this.ends(record_property)
        done.append(this)
    assert sum(len(each.killed_at) for each in done) > rounds
    assert sum(each.lost for each in done if each.lost) >= rounds / 2


@pytest.mark.long
@pytest.mark.usefixtures("standing_ray")
def test_a_worker_killed_between_two_trials_costs_neither(tmp_path: Path) -> None:
    """Tune would fail the second one for good: it has not begun on its worker yet."""

    class Killer(Silent):
        """Kills the worker of each trial that ends, which the next is about to get."""

        def ended(self, number: int, row: dict[str, Any]) -> None:
            os.kill(int(row["worker"].split(":")[1]), signal.SIGKILL)

    @contextmanager
    def progress(study: Study) -> Iterator[Killer]:
        yield Killer()

    study = make_study(budget={"trials": 5}, scheduler={"name": "none"})
    end = run_study(study, progress, runs_dir=tmp_path, concurrency=1)
    check_whole(end.root, 5, 4)


ONE_TRIAL = ["train.epochs=300", "train.steps_per_epoch=60", "search={}"]


ORPHAN = """
import sys
from pathlib import Path
import gantune
from gantune.host import Host
from gantune.paths import RunPaths
from gantune.records import read_table
from gantune.tuning.specs import make_spec

paths = RunPaths(Path(sys.argv[1]))
study = gantune.load_study(paths.study)
spec = make_spec(paths, study, read_table(paths.table("trials")).to_pylist()[0], study.trial)
host = Host()
handle = host.open(spec)
print("open", flush=True)
sys.stdin.readline()
host.advance(handle, spec.epochs, 0)  # what it sends again
host.advance(handle, spec.epochs, 0)  # an epoch of its own
print("wrote", flush=True)
"""


@pytest.mark.long
def test_an_orphan_that_goes_on_in_the_next_session_takes_nothing_back(tmp_path: Path) -> None:
    """A process that does what a worker does, on a node that has lost sight of the others.

    On one machine Ray leaves none behind for longer than seconds.
    """
    (tmp_path / "tiny.yaml").write_text(TINY)
    root, paths = tmp_path / "runs" / "tiny", RunPaths(tmp_path / "runs" / "tiny")
    one = ["--concurrency", "1", "--no-report"]
    first = start("run", "tiny.yaml", *sets([*ONE_TRIAL, "budget.trials=1"]), *one, cwd=tmp_path)
    wait_for(lambda: epochs_on_disk(root) > 0)
    end(kill_driver(first))
    with subprocess.Popen(
        [sys.executable, "-c", ORPHAN, root], stdin=PIPE, stdout=PIPE, text=True
    ) as orphan:
        assert orphan.stdin and orphan.stdout
        assert orphan.stdout.readline() == "open\n"
        seen = epochs_on_disk(root)
        second = start("resume", "tiny", *one, cwd=tmp_path)
        wait_for(lambda: epochs_on_disk(root) > seen + 5)
        reached = epochs_on_disk(root)
        orphan.stdin.write("\n")
        orphan.stdin.flush()
        assert orphan.stdout.readline() == "wrote\n"
        checkpoint = read_checkpoint(paths.last(0))
    _, err = second.communicate(timeout=300)
    assert second.returncode == 0, err
    assert checkpoint is not None and len(checkpoint.meta["records"]) >= reached
    check_whole(root, 1, 300)
    whole = gantune.train(gantune.load_study(tmp_path / "tiny.yaml", ONE_TRIAL), tmp_path / "w")
    assert len(whole.epochs) == 300
    assert tables(root)["epochs"] == tables(whole.root)["epochs"]
