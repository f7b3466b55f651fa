"""Finds the run, and the trial, that somebody names on the command line."""

from pathlib import Path
from typing import TYPE_CHECKING

from gantune.errors import UsageError
from gantune.terminal import say

if TYPE_CHECKING:
    from gantune.analysis.best import BestTrial
    from gantune.analysis.run import Run


def is_run(run: str, runs_dir: Path) -> bool:
    """Whether a path or a name is a run's; a URI can be no other thing's."""
    from gantune.remote import is_remote

    return is_remote(run) or any(
        (root / "study.yaml").is_file() for root in (Path(run), runs_dir / run)
    )


def open_run(run: str, runs_dir: Path) -> "Run":
    """A run given by path, name or URI.

    Raises:
        UsageError: There is none.
    """
    from gantune.analysis.run import load
    from gantune.remote import is_remote

    return load(run if is_remote(run) else find_run(run, runs_dir))


def find_run(run: str, runs_dir: Path) -> Path:
    """The directory of a run given by path or by name.

    Raises:
        UsageError: There is none.
    """
    from gantune.remote import is_remote

    if is_remote(run):
        raise UsageError("a run in a store can be looked at, not changed from here")
    for root in (Path(run), runs_dir / run):
        if (root / "study.yaml").is_file():
            return root
    known = sorted(path.parent.name for path in runs_dir.glob("*/study.yaml"))
    hint = f"; runs in {runs_dir}: {', '.join(known)}" if known else f"; {runs_dir} has no runs"
    raise UsageError(f"{run}: no such run{hint}")


def take_up(run: str, runs_dir: Path, *, trust: bool) -> Path:
    """The directory of a run that is to go on; one in a store is brought here first.

    Raises:
        UsageError: There is none, or one with code that is not trusted.
    """
    from gantune.remote import is_remote

    if not is_remote(run):
        return find_run(run, runs_dir)
    from gantune.tuning.store import take_up as take_up_from

    root = take_up_from(run, runs_dir, trust=trust)
    say(f"{run} goes on from {root}", err=True)
    return root


def find_trial(run: str, trial: str, runs_dir: Path) -> "tuple[Run, BestTrial]":
    """A run and one of its trials at its best epoch.

    Raises:
        UsageError: There is no such run or trial.
        CheckpointError: The trial has no checkpoint.
    """
    loaded = open_run(run, runs_dir)
    return loaded, loaded.trial(trial_number(loaded, trial))


def trial_number(run: "Run", trial: str) -> int:
    """The number of a trial given as a number or as ``best``.

    Raises:
        UsageError: There is no such trial.
    """
    if trial == "best":
        return run.best_number()
    if not trial.isdecimal():
        raise UsageError(f"--trial is a trial's number or best, has {trial}")
    run.require_trial(int(trial))
    return int(trial)
