"""What a confirmation over seeds says: which configuration is best, and how sure that is."""

import json
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gantune.analysis.comparable import Compared
from gantune.analysis.ranked import feasible, ranked
from gantune.analysis.recorded import of_search, repeats
from gantune.config import leaves
from gantune.errors import RunError
from gantune.starts import same

Values = NDArray[np.float64]

LEVEL = 0.95
RESAMPLES = 10_000

ENDED = ("completed", "diverged", "failed")
"""How a repeat can end by itself: one that somebody stopped says nothing of its configuration."""

ENOUGH = 5
"""Seeds below which nothing is told apart: of equals, one wins on all of 4 in 1 of 8 cases."""


@dataclass(frozen=True)
class Seeds:
    """Configurations over several seeds.

    A repeat that failed, diverged or misses a constraint is worse than any value: it counts in
    medians and quartiles as infinitely bad.

    Attributes:
        metric: The objective.
        summary: A row per configuration, best median first: ``number`` (of the search's trial),
            ``is_base``, ``seeds`` (repeats that have ended), ``failure_rate``, ``median``,
            ``q25``, ``q75`` (infinite where too many failed), ``searched`` (its value in the
            search, which picked it for that value).
        pairs: A row per two of them: ``a`` (the one with the better median), ``b``,
            ``difference`` of their medians, ``low``, ``high`` (95%), ``told_apart``: whether the
            interval leaves out 0; never with fewer than 5 seeds.
        winner: The number with the best median; None where every median is a failure.
    """

    metric: str
    summary: pd.DataFrame
    pairs: pd.DataFrame = field(repr=False)
    winner: int | None

    def __str__(self) -> str:
        """The answer in sentences."""
        if self.winner is None:
            return "every configuration fails, or misses a constraint, on half of its seeds or more"
        best = self.summary.iloc[0]
        said = (
            f"trial {self.winner}'s configuration has the best median of {best['seeds']} seeds: "
            f"{self.metric} {best['median']:.4g} (quartiles {best['q25']:.4g} to {best['q75']:.4g})"
        )
        beaten = self.pairs[(self.pairs["a"] == self.winner) & self.pairs["told_apart"]]
        beats = [self._name(number) for number in beaten["b"]]
        others = self.pairs[(self.pairs["a"] == self.winner) & ~self.pairs["told_apart"]]
        open_ = [self._name(number) for number in others["b"]]
        said += f"; better than {' and '.join(beats)} at {LEVEL:.0%}" if beats else ""
        return said + (f"; these seeds do not tell it from {' and '.join(open_)}" if open_ else "")

    def _name(self, number: int) -> str:
        rows = self.summary[self.summary["number"] == number]
        return "the base trial" if rows["is_base"].iloc[0] else f"trial {number}"


def seeds(run: Compared) -> Seeds:
    """Reads a run's confirmation, as far as it has come.

    Args:
        run: A run of a study with ``confirm``.

    Raises:
        RunError: No trial of it repeats another one, or none has ended.
    """
    ended = repeats(run)[repeats(run)["status"].isin(ENDED)]
    if ended.empty:
        raise RunError(
            f"{run.root}: nothing is confirmed over seeds; "
            f"`gantune resume {run.root} --confirm 3x5` trains the best 3 with 5 fresh seeds each"
        )
    objective = run.study.objective
    fails = (ended["status"] != "completed") | (ended["feasible"] == "no")
    fails |= ended["objective"].isna()
    # By seed: the k-th seed is the same for all configurations.
    places = ended.assign(place=(objective.sign * ended["objective"]).where(~fails, np.inf))
    # Nor does a seed that stands twice, in tables that no run has written, say anything twice.
    places = places.drop_duplicates(["confirms", "seed"])
    table = places.pivot(index="seed", columns="confirms", values="place")
    found = {int(number): table[number] for number in table.columns}
    numbers = sorted(found, key=lambda number: (_median(found[number]), number))
    enough = max(found[number].count() for number in numbers)
    whole = [number for number in numbers if found[number].count() == enough]
    is_useful = np.isfinite(_median(found[whole[0]]))
    return Seeds(
        metric=objective.metric,
        summary=_summary(run, found, numbers),
        pairs=_pairs(found, numbers, objective.sign),
        winner=whole[0] if is_useful else None,
    )


def is_confirmed(run: Compared) -> bool:
    """Whether a trial that confirms another has ended by itself."""
    return bool(repeats(run)["status"].isin(ENDED).any())


def best_number(run: Compared) -> int:
    """The number of the best trial: of a confirmed run the winner's best repeat.

    Raises:
        RunError: No trial has a value yet, or none meets the constraints.
    """
    winner = seeds(run).winner if is_confirmed(run) else None
    if winner is None:
        return int(feasible(run)["number"].iloc[0])
    own = repeats(run)[repeats(run)["confirms"] == winner]
    own = own[(own["status"] == "completed") & (own["feasible"] != "no").fillna(True)]
    lower = run.study.objective.direction == "minimize"
    return int(own.sort_values("objective", ascending=lower)["number"].iloc[0])


def _summary(
    run: Compared, found: "dict[int, pd.Series[float]]", numbers: list[int]
) -> pd.DataFrame:
    sign, metric = run.study.objective.sign, run.study.objective.metric
    searched, base = ranked(run).set_index("number")[metric], base_number(run)
    rows = []
    for number in numbers:
        values = found[number].dropna().to_numpy()
        # Not between two values: half of an infinite one has no meaning.
        low, high = np.quantile(values, [0.25, 0.75], method="inverted_cdf")
        rows.append(
            {
                "number": number,
                "is_base": number == base,
                "seeds": len(values),
                "failure_rate": float(np.isinf(values).mean()),
                "median": sign * _median(found[number]),
                "q25": sign * (low if sign > 0 else high),
                "q75": sign * (high if sign > 0 else low),
                "searched": searched.get(number, float("nan")),
            }
        )
    return pd.DataFrame(rows)


def base_number(run: Compared) -> int | None:
    """The trial of the search that has the base trial's configuration; None without one."""
    base = {path: value for path, value, _ in leaves(run.study.trial)}
    searched = of_search(run)
    for number, text in zip(searched["number"], searched["parameters"], strict=True):
        if all(same(base.get(path), value) for path, value in json.loads(text).items()):
            return int(number)
    return None


def _pairs(found: "dict[int, pd.Series[float]]", numbers: list[int], sign: int) -> pd.DataFrame:
    rows = []
    for a, b in combinations(numbers, 2):
        both = pd.concat([found[a], found[b]], axis=1).dropna().to_numpy()
        difference, low, high = interval(both[:, 0], both[:, 1])
        ends = sorted((sign * low, sign * high))
        apart = len(both) >= ENOUGH and bool(low > 0 or high < 0)
        row = {"a": a, "b": b, "difference": sign * difference}
        rows.append({**row, "low": ends[0], "high": ends[1], "told_apart": apart})
    names = ["a", "b", "difference", "low", "high", "told_apart"]
    return pd.DataFrame(rows, columns=names).astype({"told_apart": "bool"})


def _median(values: "pd.Series[float]") -> float:
    return float(np.median(values.dropna()))


def interval(a: Values, b: Values) -> tuple[float, float, float]:
    """The difference of two medians over the same seeds, with a bootstrap interval.

    Seeds are drawn again, for both at once. The percentiles are widened for few seeds, as a t
    interval is ("What Teachers Should Know About the Bootstrap", Hesterberg 2015, equation 8):
    Phi(-t sqrt(n / (n - 1))), for plain ones cover too seldom.

    Args:
        a: Values by seed, shape (n,); inf for failures.
        b: Of the other configuration, with the same seeds.

    Returns:
        Median of a - median of b, and the ends of its 95% interval; NaN ends for fewer than 2.
    """
    count = len(a)
    if count < 2:
        return float(_minus(a, b)[0]) if count else float("nan"), float("nan"), float("nan")
    from scipy.stats import norm, t  # takes a while

    rng = np.random.default_rng(0)
    drawn = rng.integers(0, count, size=(RESAMPLES, count))
    differences = _minus(_medians(a[drawn]), _medians(b[drawn]))
    tail = norm.cdf(-t.ppf((1 + LEVEL) / 2, count - 1) * np.sqrt(count / (count - 1)))
    low, high = np.quantile(differences, [tail, 1 - tail], method="inverted_cdf")
    return float(_minus(_medians(a[None]), _medians(b[None]))[0]), float(low), float(high)


def _medians(values: Values) -> Values:
    found: Values = np.median(values, axis=1)
    return found


def _minus(a: Values, b: Values) -> Values:
    """a - b; 0 where both have failed."""
    with np.errstate(invalid="ignore"):
        return np.nan_to_num(a - b, nan=0.0, posinf=np.inf, neginf=-np.inf)
