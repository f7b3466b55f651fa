"""A run, finished or not, as pandas frames. Reads no pickle and runs nothing of the run's."""

import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa

from gantune.analysis.best import BestTrial, best_of
from gantune.analysis.failures import failures
from gantune.analysis.frames import (
    to_epochs,
    to_steps,
    to_trials,
    with_records_so_far,
    with_waiting,
)
from gantune.analysis.measured import MeasuredIn, measured_in
from gantune.analysis.notebook import run_to_html
from gantune.analysis.progress import Per, curve, time_to
from gantune.analysis.ranked import pareto
from gantune.analysis.recorded import repeats
from gantune.analysis.seeds import Seeds, best_number, is_confirmed, seeds
from gantune.checkpoints import read_checkpoint
from gantune.errors import CheckpointError, UsageError
from gantune.loader import open_study
from gantune.lock import is_held
from gantune.paths import RunPaths, refuse_linked, refuse_links_to_open
from gantune.records import read_table
from gantune.remote import Remote, is_remote, open_remote
from gantune.runinfo import read_info
from gantune.study import Study

if TYPE_CHECKING:
    from gantune.analysis.compare import Comparison


@dataclass(frozen=True)
class Run:
    """What a run has recorded so far. Frames are read once; :func:`load` again for newer ones.

    Attributes:
        root: Its directory; of a remote run, where its files are brought to when they are needed.
        study: Its study, as resolved.
        info: What ``run.json`` holds: versions, sessions, status.
        remote: Where it is, if that is in a store.
    """

    root: Path
    study: Study = field(repr=False)
    info: dict[str, Any] = field(repr=False)
    remote: Remote | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        """The run's name."""
        return self.root.name

    @property
    def place(self) -> str:
        """What to open it by again: its directory or URI."""
        return self.remote.uri if self.remote else str(self.root)

    def local(self, path: Path) -> Path:
        """A file or folder of the run, as it is now; of a remote run it is brought here first.

        Args:
            path: Below ``root``; of a folder its own files, not those of folders in it.

        Raises:
            UsageError: The store cannot be read.
        """
        if self.remote:
            self.remote.bring(path)
        return path

    @property
    def status(self) -> str:
        """``running``, ``finished``, ``stopped``, ``interrupted`` or ``failed``."""
        noted = str(self.info.get("status", "interrupted"))
        # A killed process has no chance to note that it is gone.
        return "interrupted" if noted == "running" and not self.is_live else noted

    @property
    def is_done(self) -> bool:
        """Whether the run is finished, and its budget leaves nothing to go on with."""
        budget = self.study.budget
        is_limited = any((budget.epochs, budget.hours, budget.gpu_hours))
        is_spent = is_limited or len(self.trials) >= budget.trials
        return self.status == "finished" and is_spent

    @cached_property
    def is_live(self) -> bool:
        """Whether a process drives the run now; of a remote one, whether that was noted last."""
        if self.remote:
            return self.info.get("status") == "running"
        return is_held(self._paths.lock)

    @property
    def measured_in(self) -> MeasuredIn | None:
        """Features and numbers of samples behind its metrics; None before they were known."""
        return measured_in(self.info, self.study)

    @cached_property
    def trials(self) -> pd.DataFrame:
        """One row per trial; columns: ``gantune.columns.TRIALS`` and ``config.<path>``."""
        ended = to_trials(self._table("trials"), live=self.is_live)
        known = with_records_so_far(ended, self.epochs, self.study)
        return with_waiting(known, self.epochs, self.study)

    @cached_property
    def epochs(self) -> pd.DataFrame:
        """One row per (trial, epoch); columns: ``gantune.columns.EPOCHS``."""
        return to_epochs(self._table("epochs"))

    @cached_property
    def steps(self) -> pd.DataFrame:
        """A thinned trace within epochs; columns: ``gantune.columns.STEPS``."""
        return to_steps(self._table("steps"))

    def _repr_html_(self) -> str:
        return run_to_html(self)

    @property
    def repeats(self) -> pd.DataFrame:
        """Those of :attr:`trials` that confirm others with fresh seeds."""
        return repeats(self)

    @property
    def is_confirmed(self) -> bool:
        """Whether a trial that confirms another has ended, so that :meth:`seeds` says something."""
        return is_confirmed(self)

    def best(self) -> BestTrial:
        """The best trial, also of trials that were stopped or still run.

        Where configurations were confirmed over seeds, the best repeat of the one with the best
        median; otherwise the trial with the best objective that meets the constraints.

        Raises:
            RunError: No trial has a value yet, or none meets the constraints.
            CheckpointError: Its checkpoint is missing or damaged.
        """
        return self._at_best(self.best_number())

    def pareto(self) -> pd.DataFrame:
        """The trials that no other beats in both objectives: see :mod:`gantune.analysis.ranked`.

        Raises:
            RunError: No trial has a value yet, or none meets the constraints.
        """
        return pareto(self)

    def seeds(self) -> Seeds:
        """Medians, failures and intervals over seeds: see :mod:`gantune.analysis.seeds`.

        Raises:
            RunError: No configuration was confirmed.
        """
        return seeds(self)

    def best_number(self) -> int:
        """The number of the best trial.

        Raises:
            RunError: No trial has a value yet, or none meets the constraints.
        """
        return best_number(self)

    def trial(self, number: int) -> BestTrial:
        """A trial at its best epoch.

        Raises:
            UsageError: There is no such trial.
            CheckpointError: It has no whole checkpoint: it was never evaluated, or files are gone.
        """
        self.require_trial(number)
        return self._at_best(number)

    def require_trial(self, number: int) -> None:
        """Raises UsageError where there is no such trial."""
        if not (self.trials["number"] == number).any():
            message = f"{self.name} has no trial {number}; it has {len(self.trials)} trials"
            raise UsageError(message)

    def _at_best(self, number: int) -> BestTrial:
        folder = self.local(self._paths.best(number))
        refuse_linked(folder, self.root)
        checkpoint = read_checkpoint(folder)
        if checkpoint is None:
            raise CheckpointError(
                f"{folder}: no whole checkpoint of trial {number}; only the best trials keep "
                f"theirs (checkpoint.keep_top); it can be trained again: "
                f"`gantune train {self.place} --trial {number}`"
            )
        return best_of(
            checkpoint,
            number,
            self.parameters(number),
            self._paths.study,
            self.study.extensions,
            self.remote.uri if self.remote else None,
        )

    def parameters(self, number: int) -> dict[str, Any]:
        """A trial's searched paths and their values."""
        rows = self.trials[self.trials["number"] == number]
        if rows.empty:
            return {}  # its row was lost with a damaged table
        row = rows.iloc[0]
        parameters: dict[str, Any] = json.loads(str(row["parameters"]))
        return parameters

    def compare(self, *others: "Run", metric: str | None = None) -> "Comparison":
        """This run beside others: see :func:`gantune.compare`.

        Raises:
            IncomparableError: The metric's values mean different things in two of the runs.
            UsageError: There is no other run, or no common metric.
            RunError: No run has a value of the metric.
        """
        from gantune.analysis.compare import compare  # which takes runs

        return compare([self, *others], metric=metric)

    def importance(self) -> "pd.Series[float]":
        """The share of the objective's variance that each searched path explains.

        See :func:`gantune.analysis.importance.importance`, and ``importance_table`` there for the
        number of trials behind each share.
        """
        from gantune.analysis.importance import importance  # takes optuna when it has trials

        return importance(self)

    def failures(self, parameter: str | None = None, bins: int = 4) -> pd.DataFrame:
        """How often each verdict falls on trials, over parts of each parameter's domain.

        See :func:`gantune.analysis.failures.failures`.

        Raises:
            UsageError: The path is not searched, or bins is below 1.
        """
        return failures(self, parameter, bins)

    def curve(self, per: Per = "epochs") -> pd.DataFrame:
        """The best objective so far against what all trials together had spent.

        See :func:`gantune.analysis.progress.curve`.

        Raises:
            UsageError: ``per`` is none of ``epochs``, ``images``, ``seconds``.
        """
        return curve(self, per)

    def time_to(self, value: float, per: Per = "epochs") -> float | None:
        """What all trials together had spent when the objective was first as good as a value.

        See :func:`gantune.analysis.progress.time_to`.

        Raises:
            UsageError: ``per`` is none of ``epochs``, ``images``, ``seconds``.
        """
        return time_to(self, value, per)

    def _table(self, name: str) -> pa.Table:
        return read_table(self.local(self._paths.table(name)))

    @property
    def _paths(self) -> RunPaths:
        return RunPaths(self.root)


def load(path: str | Path) -> Run:
    """Opens a run: finished, running or crashed, here or in a store.

    Args:
        path: A run's directory, or the URI of one: ``s3://bucket/runs/lr_beta``, ``gs://...``; see
            :func:`gantune.remote.open_remote`.

    Raises:
        UsageError: There is no run at the path, a link leads out of it, or the store cannot be
            read.
        ConfigError: Its study file is damaged.
    """
    remote = open_remote(str(path)) if is_remote(path) else None
    paths = RunPaths(remote.root if remote else Path(path))
    if remote:
        remote.bring(paths.study)
        remote.bring(paths.info)
    if not paths.study.is_file():
        place = remote.uri if remote else path
        raise UsageError(f"{place} is no run: it has no {paths.study.name}")
    refuse_links_to_open(paths)
    return Run(paths.root, open_study(paths.study), read_info(paths.info), remote)
