"""What searches found by how many epochs, compared over seeds. Trains nothing."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

RESAMPLES = 4_000

Statistic = Callable[..., np.ndarray]
"""(rows drawn, arrays of which each has a row for each seed) -> a number for each draw.

The last axis of the rows is one draw: one call for all draws, and not one for each, takes seconds.
"""


class Search(NamedTuple):
    """One search.

    Attributes:
        task: Its name.
        kind: ``simulated`` or ``trained``.
        arm: Which way of searching.
        seed: Its seed.
        best: The lowest objective after each epoch, as a shortfall.
    """

    task: str
    kind: str
    arm: str
    seed: int
    best: tuple[float, ...]


class Interval(NamedTuple):
    """A figure and its bootstrap interval of 95%."""

    value: float
    low: float
    high: float


def best_so_far(objectives: Sequence[float | None], epochs: int) -> tuple[float, ...]:
    """The lowest after each of a search's epochs; the last goes on to the end."""
    best, found = float("inf"), []
    for objective in objectives[:epochs]:
        best = best if objective is None else min(best, objective)
        found.append(best)
    return (*found, *[best] * (epochs - len(found)))


def write_searches(searches: Sequence[Search], path: Path, machine: str) -> None:
    """Writes the epochs in which a search found something better, and its last, as Parquet."""
    names = ("task", "kind", "arm", "seed", "spent", "best")
    rows = [
        (*search[:4], spent, best)
        for search in searches
        for spent, best in enumerate(search.best, 1)
        if spent in (1, len(search.best)) or best < search.best[spent - 2]
    ]
    columns = dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))
    pq.write_table(pa.table(columns, metadata={"machine": machine}), path, compression="zstd")


def read_searches(path: Path) -> tuple[list[Search], str]:
    """Reads what :func:`write_searches` wrote: the searches, and what they ran on."""
    table = pq.read_table(path)
    found: dict[tuple[str, str, str, int], list[float]] = {}
    for row in table.to_pylist():
        best = found.setdefault((row["task"], row["kind"], row["arm"], row["seed"]), [])
        best += best[-1:] * (row["spent"] - 1 - len(best)) + [row["best"]]
    searches = [Search(*key, tuple(best)) for key, best in found.items()]
    return searches, table.schema.metadata[b"machine"].decode()


def matrix(searches: Sequence[Search], task: str, kind: str, arm: str) -> np.ndarray:
    """The best objectives of an arm, one row per seed, in the order of the seeds."""
    chosen = [s for s in searches if (s.task, s.kind, s.arm) == (task, kind, arm)]
    return np.array([search.best for search in sorted(chosen, key=lambda search: search.seed)])


def paired_bootstrap(
    statistic: Statistic, searches: Sequence[np.ndarray], resamples: int = RESAMPLES
) -> Interval:
    """A statistic and its percentile interval, seeds drawn with replacement.

    Args:
        statistic: Of all the arrays, for all draws.
        searches: One or more arrays; row k of all of them is of the same seed, and is drawn
            together.
        resamples: How often.
    """
    rng = np.random.default_rng(0)
    seeds = len(searches[0])
    drawn = statistic(rng.integers(seeds, size=(resamples, seeds)), *searches)
    # Not interpolated: one of the two neighbours may be infinite.
    low, high = np.quantile(drawn, [0.025, 0.975], method="nearest")
    return Interval(float(statistic(np.arange(seeds), *searches)), float(low), float(high))


def share_of_epochs(rows: np.ndarray, ours: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Epochs in which our median reaches the other's last median, over the other's; or infinity."""
    goal, epochs = np.median(other[rows, -1], axis=-1), ours.shape[1]
    # The best so far never rises, and so no median of it does: the epoch is found by halving.
    low, high = np.zeros(goal.shape, int), np.full(goal.shape, epochs)
    while (is_open := low < high).any():
        middle = np.where(is_open, (low + high) // 2, 0)
        reached = np.median(ours[rows, middle[..., None]], axis=-1) <= goal
        high = np.where(is_open & reached, middle, high)
        low = np.where(is_open & ~reached, middle + 1, low)
    return np.where(low < epochs, (low + 1) / other.shape[1], np.inf)


def ratios_at(epochs: int, ours: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Our best over the other's after so many epochs, of each pair."""
    ratios: np.ndarray = ours[:, epochs - 1] / other[:, epochs - 1]
    return ratios


def ratios_overall(ours: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Our best over the other's, of each pair: geometric mean over epochs.

    Over the epochs from which on both of a pair have found anything.
    """
    have = np.isfinite(ours) & np.isfinite(other)
    logs = np.log(ours, out=np.zeros_like(ours), where=have)
    logs -= np.log(other, out=np.zeros_like(other), where=have)
    ratios: np.ndarray = np.exp(logs.sum(axis=1) / have.sum(axis=1))
    return ratios


def geometric_mean(rows: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Of positive values."""
    means: np.ndarray = np.exp(np.log(values)[rows].mean(axis=-1))
    return means
