"""The bootstrap of a confirmation again: exact, over all ways to draw the seeds."""

import itertools
import math
import statistics
from collections.abc import Sequence
from functools import cache

import numpy as np
from recount import Tables

RESAMPLES = 10_000
T_975 = {1: 12.706205, 2: 4.302653, 3: 3.182446, 4: 2.776445, 5: 2.570582, 6: 2.446912, 7: 2.364624}
"""97.5% quantiles of Student's t by degrees of freedom, from a printed table."""


def interval(a: Sequence[float], b: Sequence[float]) -> tuple[tuple[float, float], ...]:
    """Where the ends of the 95% interval of a difference of medians may lie.

    Of all n^n ways to draw n seeds again, each as likely, not of random ones: the exact
    distribution. The report's 10,000 draws find its quantile within 4 standard errors of the
    probability, which is the range of each end.
    """
    count = len(a)
    places = np.array(list(itertools.product(range(count), repeat=count)))
    with np.errstate(invalid="ignore"):
        differences = np.median(np.array(a)[places], 1) - np.median(np.array(b)[places], 1)
    ordered = np.sort(np.nan_to_num(differences, nan=0.0, posinf=np.inf, neginf=-np.inf))
    tail = statistics.NormalDist().cdf(-T_975[count - 1] * math.sqrt(count / (count - 1)))
    error = 4 * math.sqrt(tail * (1 - tail) / RESAMPLES)
    found = []
    for share in (tail, 1 - tail):
        low, high = (max(0.0, share - error), min(1.0, share + error))
        at = [min(len(ordered) - 1, math.ceil(len(ordered) * s)) for s in (low, high)]
        found.append((float(ordered[max(0, at[0] - 1)]), float(ordered[at[1]])))
    return tuple(found)


@cache
def interval_of(t: Tables, one: int, other: int) -> tuple[tuple[float, float], ...]:
    """:func:`interval` of two configurations over their common seeds, of signed values."""
    first, second = (t.over_seeds[n]["by_seed"] for n in (one, other))
    both = sorted(first.keys() & second.keys())
    return interval([first[s] for s in both], [second[s] for s in both])


def told_apart(t: Tables, one: int, other: int) -> bool | None:
    """Whether the interval leaves out 0; None where its range holds both."""
    first, second = (t.over_seeds[n]["by_seed"] for n in (one, other))
    if len(first.keys() & second.keys()) < 5:
        return False
    (low, low_to), (high, high_to) = interval_of(t, one, other)
    is_sure = low > 0 or high_to < 0
    is_never = low_to <= 0 and high >= 0
    return is_sure if is_sure or is_never else None
