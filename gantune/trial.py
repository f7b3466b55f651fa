"""What a trial is, to whoever trains it; no torch, no ray."""

from typing import Annotated, Any

from pydantic import Field

from gantune.config import TrialConfig
from gantune.parts import Options
from gantune.study import Goal

Record = dict[str, Any]
"""One row of the ``epochs`` or the ``steps`` table, by column name."""

REPORT_S = 2.0
"""A trial reports at each rung, at its end, and at least this often (between epochs)."""

MAX_TRACE = 500
"""Rows of the ``steps`` table per trial, at most."""


class TrialSpec(Options):
    """One trial of a run, complete: whoever has it and the data can train it.

    Attributes:
        trial_id: Run name and number.
        number: Optuna's number of the trial.
        seed: The trial's own seed.
        config: Its configuration.
        metric: The study's objective.
        goal: Which way it is better.
        rungs: Epochs at which the scheduler decides.
        folder: Where its checkpoints go.
        threads: Threads it may use.
        gpu: GPUs (or the share of one) that it was given.
    """

    trial_id: str
    number: int
    seed: int
    config: TrialConfig
    metric: str
    goal: Goal
    rungs: Annotated[tuple[int, ...], Field(strict=False)]
    folder: str
    threads: int
    gpu: float = 0.0

    @property
    def epochs(self) -> int:
        """Its full length."""
        return self.config.train.epochs

    def is_evaluated(self, epoch: int) -> bool:
        """Whether an epoch is scored: the first, the last, each rung and every k-th."""
        every = self.config.eval.every
        return epoch in (1, self.epochs, *self.rungs) or epoch % every == 0

    def next_stop(self, epoch: int) -> int:
        """The next epoch after which the scheduler is asked: a rung, or the end."""
        return min((rung for rung in self.rungs if epoch < rung < self.epochs), default=self.epochs)

    def rung_at(self, epoch: int) -> int | None:
        """The index of the rung at an epoch."""
        return self.rungs.index(epoch) if epoch in self.rungs and epoch < self.epochs else None

    def is_better(self, value: float, best: float | None) -> bool:
        """Whether a value of the objective is strictly better than the best so far."""
        if best is None:
            return True
        return value < best if self.goal == "minimize" else value > best
