"""Records for the confirmation over seeds, and for two objectives."""

from dataclasses import dataclass

import pandas as pd

from gantune.analysis.ranked import ranked
from gantune.analysis.run import Run
from gantune.analysis.seeds import Seeds
from gantune.errors import RunError
from gantune.report.words import Fact, Sentence, in_words, is_known


@dataclass(frozen=True)
class Configuration:
    """One configuration over its seeds.

    Attributes:
        number: The search's trial.
        is_base: Whether it is the base trial's.
        seeds: Repeats that have ended.
        failure_rate: Share of them that failed, diverged or miss a constraint.
        median: None where more than half failed.
        q25: The lower quartile; None where it is a failure.
        q75: The upper quartile; None where it is a failure.
        values: Of the repeats that have one.
    """

    number: int
    is_base: bool
    seeds: int
    failure_rate: float
    median: float | None
    q25: float | None
    q75: float | None
    values: tuple[float, ...]

    @property
    def name(self) -> str:
        """What it is called."""
        return f"trial {self.number}" + (" (base)" if self.is_base else "")


@dataclass(frozen=True)
class Pair:
    """Two configurations over the same seeds: the difference of their medians."""

    a: int
    b: int
    difference: float | None
    low: float | None
    high: float | None
    told_apart: bool


@dataclass(frozen=True)
class Confirmed:
    """What repeats with fresh seeds say.

    Attributes:
        winner: The search's trial with the best median; None where every median is a failure.
        rows: Configurations, the best median first.
        pairs: Two of them each.
    """

    winner: int | None
    rows: tuple[Configuration, ...]
    pairs: tuple[Pair, ...]


@dataclass(frozen=True)
class FrontPoint:
    """A trial by two objectives."""

    number: int
    first: float
    second: float
    feasible: bool
    on_front: bool


@dataclass(frozen=True)
class Front:
    """All trials by two objectives, those marked that no other beats in both."""

    first: str
    second: str
    points: tuple[FrontPoint, ...]


def confirmed(run: Run) -> Confirmed | None:
    """The confirmation of a run; None where it has none."""
    try:
        found = run.seeds()
    except RunError:
        return None
    repeats = run.repeats.dropna(subset=["objective"])
    repeats = repeats[repeats["status"] == "completed"]
    values = {
        int(str(number)): tuple(float(value) for value in rows["objective"])
        for number, rows in repeats.groupby("confirms")
    }
    rows = [_configuration(row, values) for row in found.summary.to_dict("records")]
    return Confirmed(found.winner, tuple(rows), _pairs(found))


def _configuration(
    row: dict[str, object] | dict[object, object], values: dict[int, tuple[float, ...]]
) -> Configuration:
    known = {str(name): value for name, value in row.items()}
    number = int(str(known["number"]))
    return Configuration(
        number=number,
        is_base=bool(known["is_base"]),
        seeds=int(str(known["seeds"])),
        failure_rate=float(str(known["failure_rate"])),
        median=_finite(known["median"]),
        q25=_finite(known["q25"]),
        q75=_finite(known["q75"]),
        values=values.get(number, ()),
    )


def _pairs(found: Seeds) -> tuple[Pair, ...]:
    rows = found.pairs.itertuples(index=False)
    return tuple(
        Pair(int(a), int(b), _finite(d), _finite(low), _finite(high), bool(apart))
        for a, b, d, low, high, apart in rows
    )


def _finite(value: object) -> float | None:
    return float(str(value)) if is_known(value) else None


def confirmed_lead(found: Confirmed, metric: str, goal: str) -> Sentence:
    """The answer where it rests on several seeds."""
    name = in_words(metric)
    if found.winner is None:
        return ("Every configuration fails, or misses a constraint, on half of its seeds or more.",)
    best = next(row for row in found.rows if row.number == found.winner)
    better = "lower" if goal == "minimize" else "higher"
    parts: list[str | Fact] = ["The best is trial ", Fact("best.configuration", best.number)]
    parts += ["’s configuration: median ", f"{name} ", Fact("seeds.best.median", best.median)]
    parts += [" over ", Fact("seeds.best.seeds", best.seeds), f" seeds ({better} is better)"]
    base = next((row for row in found.rows if row.is_base), None)
    if base is None or base.number == best.number:
        return (*parts, ".")
    pair = next((p for p in found.pairs if {p.a, p.b} == {best.number, base.number}), None)
    sure = "" if pair is not None and pair.told_apart else ", which these seeds do not tell apart"
    if base.median is None:
        return (*parts, "; the base trial fails on most of its seeds.")
    return (
        *parts,
        "; the base trial’s median is ",
        Fact("seeds.base.median", base.median),
        f"{sure}.",
    )


def front(run: Run) -> Front | None:
    """The trials by two objectives; None where the study has one."""
    aims = run.study.objective.both
    if len(aims) < 2:
        return None
    try:
        best = {int(number) for number in run.pareto()["number"]}
    except RunError:
        best = set()
    first, second = (aim.metric for aim in aims)
    table: pd.DataFrame = ranked(run).dropna(subset=[first, second])
    points = tuple(
        FrontPoint(int(n), float(a), float(b), bool(ok), int(n) in best)
        for n, a, b, ok in zip(
            table["number"], table[first], table[second], table["feasible"], strict=True
        )
    )
    return Front(first, second, points)
