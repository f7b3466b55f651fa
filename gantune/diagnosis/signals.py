"""What verdicts look at: records, smoothed over the last epochs that have a value.

Everything here looks back only: what later epochs bring never changes what an earlier one said.
"""

import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean, median, pstdev
from typing import Any

from gantune.diagnosis.context import Context

WINDOW = 3
"""Values behind a smoothed one: the smallest number whose median ignores a lone outlier."""

SWING_WINDOW = 6
"""Epochs in which a swing has to show; fewer cannot tell a swing from a way up or down."""

SMOOTHED = (
    "d_acc",
    "d_auc",
    "d_acc_holdout",
    "d_overfit",
    "g_grad_norm",
    "d_grad_norm",
    "precision",
    "recall",
    "coverage",
    "vendi",
    "pair_distance_ratio",
    "high_quality",
    "nearest_neighbor_ratio",
)
"""Columns that are smoothed as they are."""

FEW, SERVED = 0.1, 0.5
"""Of a fair share, 1/K: a mode with less than FEW is lacking, one with SERVED is there."""

OF_MODES = ("mode_share", "mode_entropy")
"""What is smoothed where a histogram of modes says something."""


@dataclass(frozen=True)
class Signals:
    """A trial at one epoch.

    Attributes:
        epoch: The epoch.
        values: The median of the last WINDOW known values of each column in SMOOTHED that has any.
        mode_share: exp(-KL(generated modes || the data's)), smoothed: 1 where they are the data's,
            1/K where all samples are in one of K even modes. None where modes are not known.
        best_share: The best of the last WINDOW values behind mode_share: what a generator served
            in any of them it has not lost. None likewise.
        lacking: Modes with less than FEW of a fair share of the samples in each of the last WINDOW
            histograms, without those that chance leaves so; None likewise.
        top: (n, share): the n fullest modes hold this share of the samples; None likewise.
        d_score: How well D tells real from generated samples, 0.5 to 1 (below: it is fooled): its
            accuracy, or its AUC where the loss has no threshold.
        d_score_name: Which of both, in words.
        turnover: Share of the samples that change their mode from an epoch to the next, without
            what chance adds, median of SWING_WINDOW; None where modes are not known, or too early.
        wandering: Modes that came and went, or went and came, within SWING_WINDOW histograms: from
            less than FEW of a fair share to SERVED, and back. None likewise.
        loss_variation: Standard deviation of D's loss over the last SWING_WINDOW epochs over its
            mean size; None too early.
        turns: Share of the inner epochs of that window at which D's loss turned.
        movement: Largest of the last WINDOW relative changes of the Fréchet distance from one value
            to the next: about 0 where the generator stands still. None too early.
        rise: Share by which the Fréchet distance fell in the last third of the trial; None before
            its planned end.
    """

    epoch: int
    values: Mapping[str, float]
    mode_share: float | None
    best_share: float | None
    lacking: int | None
    top: tuple[int, float] | None
    d_score: float | None
    d_score_name: str
    turnover: float | None
    wandering: int | None
    loss_variation: float | None
    turns: float | None
    movement: float | None
    rise: float | None

    def __getitem__(self, column: str) -> float | None:
        return self.values.get(column)


class SignalTracker:
    """Signals of a trial, record by record."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._windows = {name: deque[float](maxlen=WINDOW) for name in (*SMOOTHED, *OF_MODES)}
        self._histograms: deque[Sequence[float]] = deque(maxlen=SWING_WINDOW)
        self._turnover: deque[float] = deque(maxlen=SWING_WINDOW)
        self._losses: deque[float] = deque(maxlen=SWING_WINDOW)
        self._distances: list[tuple[int, float]] = []

    def add(self, record: Mapping[str, Any]) -> Signals:
        """Takes in the next record."""
        for name in SMOOTHED:
            self._push(name, number(record, name))
        self._take_modes(record)
        loss, distance = number(record, "d_loss"), number(record, "frechet_distance")
        if loss is not None:
            self._losses.append(loss)
        if distance is not None:
            self._distances.append((record["epoch"], distance))
        values = {name: median(window) for name, window in self._windows.items() if window}
        share = values.get("mode_share")
        score = "d_acc" if self._context.has_threshold else "d_auc"
        return Signals(
            epoch=record["epoch"],
            values=values,
            mode_share=share,
            best_share=max(self._windows["mode_share"], default=None),
            lacking=self._lacking(record) if share is not None else None,
            top=_top(self._histograms) if share is not None else None,
            d_score=values.get(score),
            d_score_name="discriminator accuracy" if score == "d_acc" else "discriminator AUC",
            turnover=_full_median(self._turnover),
            wandering=_wandering(self._histograms),
            loss_variation=_variation(self._losses),
            turns=_turns(self._losses),
            movement=_movement(self._distances[-WINDOW - 1 :]),
            rise=_rise(self._distances) if record["epoch"] >= self._context.epochs else None,
        )

    def _push(self, name: str, value: float | None) -> None:
        if value is not None:
            self._windows[name].append(value)

    def _take_modes(self, record: Mapping[str, Any]) -> None:
        context = self._context
        samples = counted(record, context)
        if context.modes is None or samples < 2 * context.modes:
            # Of a mixture with hardly a sample near any mode: what was known of them is over.
            self._histograms.clear()
            for name in OF_MODES:
                self._windows[name].clear()
            return
        self._push("mode_share", mode_share(record, context))
        self._push("mode_entropy", number(record, "mode_entropy"))
        histogram = record.get("mode_histogram")
        if histogram is None:
            return
        if self._histograms:
            pairs = zip(self._histograms[-1], histogram, strict=True)
            moved = sum(abs(a - b) for a, b in pairs) / 2
            # Two counts of n samples of K even modes differ by about this much.
            chance = 0.4 * math.sqrt(2 * len(histogram) / samples)
            self._turnover.append(max(0.0, moved - chance))
        self._histograms.append(histogram)

    def _lacking(self, record: Mapping[str, Any]) -> int | None:
        if not self._histograms:
            return None
        recent = list(self._histograms)[-WINDOW:]
        size = len(recent[-1])
        empty: int = sum(max(shares) < FEW / size for shares in zip(*recent, strict=True))
        # Of n samples of K even modes, K exp(-n/K) get none by chance.
        chance = size * math.exp(-counted(record, self._context) / size)
        return max(0, empty - round(chance))


def number(record: Mapping[str, Any], column: str) -> float | None:
    """A column's value; None where it is absent, null or not finite."""
    value = record.get(column)
    return float(value) if value is not None and math.isfinite(value) else None


def mode_share(record: Mapping[str, Any], context: Context) -> float | None:
    """exp(-KL(generated modes || the data's)), without what chance adds; None if not known.

    n samples of the data itself have a divergence of about (K-1)/2n.
    """
    divergence, modes = number(record, "mode_kl"), context.modes
    if divergence is None or modes is None:
        return None
    return math.exp(-max(0.0, divergence - (modes - 1) / (2 * counted(record, context))))


def counted(record: Mapping[str, Any], context: Context) -> float:
    """Samples behind a histogram of modes: of a mixture, those that are near one."""
    near = number(record, "high_quality")
    return context.samples * (1.0 if near is None else near)


def _top(histograms: Sequence[Sequence[float]]) -> tuple[int, float] | None:
    if not histograms:
        return None
    histogram = histograms[-1]
    count = max(1, round(len(histogram) / 5))
    return count, sum(sorted(histogram, reverse=True)[:count])


def _wandering(histograms: Sequence[Sequence[float]]) -> int | None:
    if len(histograms) < SWING_WINDOW:
        return None
    fair = 1 / len(histograms[-1])
    return sum(_changes(shares, fair) > 1 for shares in zip(*histograms, strict=True))


def _changes(shares: Sequence[float], fair: float) -> int:
    """How often a mode came or went: a share between FEW and SERVED is neither."""
    states = [share >= SERVED * fair for share in shares if not FEW <= share / fair < SERVED]
    return sum(a != b for a, b in pairwise(states))


def _full_median(window: deque[float]) -> float | None:
    return median(window) if len(window) == SWING_WINDOW else None


def _variation(window: deque[float]) -> float | None:
    if len(window) < SWING_WINDOW:
        return None
    size = fmean(abs(value) for value in window)
    return pstdev(window) / size if size else 0.0


def _turns(window: deque[float]) -> float | None:
    if len(window) < SWING_WINDOW:
        return None
    values = list(window)
    steps = [b - a for a, b in pairwise(values)]
    turned = sum(a * b < 0 for a, b in pairwise(steps))
    return turned / (len(steps) - 1)


def _movement(distances: Sequence[tuple[int, float]]) -> float | None:
    values = [value for _, value in distances]
    changes = [abs(b / a - 1) for a, b in pairwise(values) if a]
    return max(changes) if len(changes) > 1 else None


def _rise(distances: Sequence[tuple[int, float]]) -> float | None:
    """Share that the best distance of the last third of the epochs is below the best before."""
    border = distances[-1][0] * 2 / 3 if distances else 0
    early = [value for epoch, value in distances if epoch <= border]
    late = [value for epoch, value in distances if epoch > border]
    if not early or not late or min(early) <= 0:
        return None
    return 1 - min(late) / min(early)
