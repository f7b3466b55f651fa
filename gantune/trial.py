"""What a trial is, to whoever trains it; no torch, no ray."""

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import Field

from gantune.config import TrialConfig
from gantune.extensions import Extensions
from gantune.goals import ConstraintText, Goal, Ranking, parse_constraint
from gantune.parts.base import Options
from gantune.study import SampleGrids, Stop

Record = dict[str, Any]
"""One row of the ``epochs`` or the ``steps`` table, by column name."""

REPORT_S = 2.0
"""A trial reports at each rung, at its end, and at least this often (between epochs)."""

MAX_TRACE = 500
"""Rows of the ``steps`` table per trial, at most."""


class TrialSpec(Options):
    """One trial of a run, complete: whoever has it and the data can train it.

    Attributes:
        extensions: What has to be known before the configuration is.
        trial_id: Run name and number.
        number: Optuna's number of the trial.
        confirms: The trial whose configuration it repeats; None in the search.
        seed: The trial's own seed.
        config: Its configuration.
        metric: The study's objective.
        goal: Which way it is better.
        constraints: What its best epoch has to meet.
        rungs: Epochs at which the scheduler decides.
        folder: Where its checkpoints go.
        storage: The URI of the store that keeps its run, if one does.
        threads: Threads it may use.
        gpu: GPUs (or the share of one) that it was given.
        samples: Which epochs leave a picture of samples.
        last_every: Epochs between two states that it goes on from after a crash.
        stop: Which verdicts end it.
        stall_timeout: Seconds that its worker may take for a record; None: as long as it likes.
    """

    # First, so that its validation comes before that of the configuration.
    extensions: Extensions = ()
    trial_id: str
    number: int
    confirms: int | None = None
    seed: int
    config: TrialConfig
    metric: str
    goal: Goal
    constraints: Annotated[tuple[ConstraintText, ...], Field(strict=False)] = ()
    rungs: Annotated[tuple[int, ...], Field(strict=False)]
    folder: str
    storage: str | None = None
    threads: int
    gpu: float = 0.0
    samples: SampleGrids = SampleGrids()
    last_every: int = 1
    stop: Stop = Stop()
    stall_timeout: float | None = None

    @property
    def epochs(self) -> int:
        """Its full length."""
        return self.config.train.epochs

    def is_evaluated(self, epoch: int) -> bool:
        """Whether an epoch is scored: the first, the last, each rung and every k-th."""
        every = self.config.eval.every
        return epoch in (1, self.epochs, *self.rungs) or epoch % every == 0

    def is_pictured(self, epoch: int) -> bool:
        """Whether an epoch leaves a picture of samples: every k-th, and the last."""
        every = self.samples.every
        return every > 0 and (epoch % every == 0 or epoch == self.epochs)

    def next_stop(self, epoch: int) -> int:
        """The next epoch after which the scheduler is asked: a rung, or the end."""
        return min((rung for rung in self.rungs if epoch < rung < self.epochs), default=self.epochs)

    def rung_at(self, epoch: int) -> int | None:
        """The index of the rung at an epoch."""
        return self.rungs.index(epoch) if epoch in self.rungs and epoch < self.epochs else None

    @property
    def ranking(self) -> Ranking:
        """What makes one of its epochs better than another."""
        constraints = tuple(map(parse_constraint, self.constraints))
        return Ranking(1 if self.goal == "minimize" else -1, constraints)


def ends_by_verdict(records: Sequence[Record], stop: Stop) -> bool:
    """Whether the last of a trial's records ends it: ``patience`` listed verdicts in a row.

    A function of the records alone: host and conductor, before and after a crash, agree.
    """
    last = records[-stop.patience :]
    return len(last) == stop.patience and all(r.get("verdict") in stop.verdicts for r in last)


COSTLY = 0.15
"""Share of a run's time that evaluation may take before its user is told."""


def costly_evaluation(train_s: float, eval_s: float, config: TrialConfig) -> str | None:
    """What to say of a run whose evaluation takes long; None where it does not.

    Args:
        train_s: Seconds of training, summed over epochs.
        eval_s: Seconds of evaluation.
        config: The base trial.
    """
    if eval_s <= COSTLY * (train_s + eval_s):
        return None
    options = config.eval
    samples = "the default" if options.samples is None else f"{options.samples:,}"
    metrics = "all" if options.metrics is None else ", ".join(options.metrics)
    share = eval_s / (train_s + eval_s)
    return (
        f"evaluation takes {share:.0%} of the time; to train more in it, raise "
        f"eval.every (now {options.every}), lower eval.samples (now {samples}) or name fewer "
        f"eval.metrics (now {metrics})"
    )
