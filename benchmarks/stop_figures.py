"""What runs with and without stopping by verdict spent, saved and found. Trains nothing."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from gantune.goals import Standing
from gantune.study import Stop
from gantune.trial import ends_by_verdict
from gantune.tuning.rungs import Rungs

RESAMPLES = 10_000


class Trial(NamedTuple):
    """A trial as it was trained.

    Attributes:
        verdicts: Of each epoch.
        objectives: Of each epoch; lower is better, None is none.
        by_verdict: Whether a verdict ended it.
    """

    verdicts: tuple[str, ...]
    objectives: tuple[float | None, ...]
    by_verdict: bool = False


class Rule(NamedTuple):
    """What ends a trial before its last epoch.

    Attributes:
        stop: By verdict.
        rungs: Epochs at which halving decides; none: it does not.
        factor: Its reduction factor.
    """

    stop: Stop
    rungs: tuple[int, ...] = ()
    factor: int = 3


class Outcome(NamedTuple):
    """What became of a study's trials under a rule.

    Attributes:
        lengths: Epochs of each trial.
        best: The lowest objective found.
        stopped: Trials that a verdict ended.
    """

    lengths: tuple[int, ...]
    best: float
    stopped: tuple[int, ...]

    @property
    def epochs(self) -> int:
        """Trained in all."""
        return sum(self.lengths)


class Interval(NamedTuple):
    """A geometric mean of ratios and its bootstrap interval of 95%."""

    mean: float
    low: float
    high: float


def best_so_far(trial: Trial) -> list[float | None]:
    """The lowest objective up to each epoch."""
    found: list[float | None] = []
    best = math.inf
    for value in trial.objectives:
        best = best if value is None else min(best, value)
        found.append(None if math.isinf(best) else best)
    return found


def as_run(trials: Sequence[Trial]) -> Outcome:
    """What a run came to as it was trained."""
    stopped = tuple(n for n, trial in enumerate(trials) if trial.by_verdict)
    lengths = tuple(len(trial.objectives) for trial in trials)
    return Outcome(lengths, _lowest([best_so_far(trial)[-1] for trial in trials]), stopped)


def replayed(trials: Sequence[Trial], rule: Rule, planned: int) -> Outcome:
    """What a rule would have made of the same trials, one after the other, by gantune's own code.

    Exact where the trials were trained to their ends and none was proposed because of another.

    Args:
        trials: In the order in which they ran.
        rule: What ends them.
        planned: Epochs of a trial that nothing ends.
    """
    rungs = Rungs(rule.rungs, rule.factor)
    lengths, bests, stopped = [], [], []
    for number, trial in enumerate(trials):
        length, by_verdict = _end(number, trial, rule.stop, rungs, planned)
        lengths.append(length)
        bests.append(best_so_far(trial)[length - 1])
        if by_verdict:
            stopped.append(number)
    return Outcome(tuple(lengths), _lowest(bests), tuple(stopped))


def _end(number: int, trial: Trial, stop: Stop, rungs: Rungs, planned: int) -> tuple[int, bool]:
    """Epochs after which a trial ends, and whether by a verdict; the order is the conductor's."""
    best = best_so_far(trial)
    records = [{"verdict": verdict} for verdict in trial.verdicts]
    for epoch in range(1, min(len(records) + 1, planned)):
        if trial.verdicts[epoch - 1] == "diverged":
            return epoch, False
        goes_on = rungs.observe(number, epoch, Standing(False, best[epoch - 1]))
        if ends_by_verdict(records[:epoch], stop):
            return epoch, True
        if not goes_on:
            return epoch, False
    return len(records), False


def _lowest(values: Sequence[float | None]) -> float:
    return min(value for value in values if value is not None)


def ratio_interval(ratios: Sequence[float], seed: int = 0) -> Interval:
    """Mean on the log scale and the percentile bootstrap over the ratios.

    Args:
        ratios: One per pair; above 0.
        seed: Of the resampling.
    """
    logs = np.log(np.asarray(ratios, dtype=float))
    rng = np.random.default_rng(seed)
    means = logs[rng.integers(len(logs), size=(RESAMPLES, len(logs)))].mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return Interval(*(float(np.exp(value)) for value in (logs.mean(), low, high)))
