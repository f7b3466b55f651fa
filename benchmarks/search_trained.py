"""The searches on real training: Ray Tune on this machine, two trials at once."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path

from search_figures import Search, best_so_far
from search_record import TASKS
from search_simulate import OURS, SLOTS, search_study

import gantune

SCRIPT = Path(__file__).parent / "baselines" / "search_script.py"
TASK = "digits"
ARMS = ("gantune", "random", "by hand")


def train(seeds: int, folder: Path) -> Iterator[Search]:
    """Runs every search with every seed; what an earlier call has finished is not run again.

    Args:
        seeds: How many.
        folder: Keeps the objectives of each search's epochs, and the runs of gantune.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for seed in range(seeds):
        for arm in ARMS:
            found = _file(arm, seed, folder)
            if not found.exists():
                half = found.with_suffix(".half")
                _search(arm, seed, folder / "runs", half)
                half.rename(found)
            yield _read(arm, seed, found)


def read_trained(folder: Path) -> Iterator[Search]:
    """What :func:`train` has finished, for seeds for which it has finished all searches."""
    for seed in count():
        files = {arm: _file(arm, seed, folder) for arm in ARMS}
        if not all(file.exists() for file in files.values()):
            return
        yield from (_read(arm, seed, file) for arm, file in files.items())


def _file(arm: str, seed: int, folder: Path) -> Path:
    return folder / f"{arm.replace(' ', '_')}-{seed}.json"


def _search(arm: str, seed: int, runs: Path, out: Path) -> None:
    budget = TASKS[TASK].budget
    if arm == "by hand":
        options = ["--seed", str(seed), "--epochs", str(budget), "--out", str(out)]
        subprocess.run([sys.executable, str(SCRIPT), *options], check=True)
        return
    study = search_study(TASKS[TASK], seed, budget, *OURS[arm])
    shutil.rmtree(runs / f"{arm}-{seed}", ignore_errors=True)  # of a call that was ended
    run = gantune.run(study, name=f"{arm}-{seed}", runs_dir=runs, concurrency=SLOTS)
    arrived = run.epochs.sort_values("seq")["objective"].head(budget)
    out.write_text(json.dumps([None if value != value else value for value in arrived]))


def _read(arm: str, seed: int, path: Path) -> Search:
    best = best_so_far(json.loads(path.read_text()), TASKS[TASK].budget)
    return Search(TASK, "trained", arm, seed, best)
