"""Records for the section on stability: shares of verdicts, where they lie, how each goes."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from gantune.analysis.frames import CONFIG_PREFIX
from gantune.report.verdicts import VERDICTS
from gantune.report.words import is_known
from gantune.study import Study

NUMERIC_DOMAINS = {"uniform", "log_uniform", "int", "log_int"}
EXAMPLE_COLUMNS = ("d_acc", "g_loss", "d_loss", "g_grad_norm", "d_grad_norm")


@dataclass(frozen=True)
class VerdictShare:
    """How many trials have a verdict; ``None``: those that nothing could be said of."""

    verdict: str | None
    trials: int
    share: float


@dataclass(frozen=True)
class MapPoint:
    """A trial in the plane of two parameters."""

    number: int
    x: float
    y: float
    verdict: str | None


@dataclass(frozen=True)
class FailureMap:
    """Where in the plane of two parameters training breaks."""

    x_path: str
    y_path: str
    x_log: bool
    y_log: bool
    points: tuple[MapPoint, ...]


@dataclass(frozen=True)
class Example:
    """A trial that shows a verdict.

    Attributes:
        verdict: What it shows.
        number: The trial.
        began: The epoch in which the verdict began; None of a trial that is not over.
        epochs: (n,) epochs of the curves.
        curves: By column, (n,) values; None where there is none.
        evidence: The sentence of numbers.
    """

    verdict: str
    number: int
    began: int | None
    epochs: tuple[int, ...]
    curves: dict[str, tuple[float | None, ...]]
    evidence: str


def verdict_shares(trials: pd.DataFrame) -> tuple[VerdictShare, ...]:
    """The share of each verdict among trials, the least severe first."""
    verdicts = trials["verdict"].astype("string")
    found = []
    for name in (*VERDICTS, None):
        count = int(verdicts.isna().sum() if name is None else (verdicts == name).sum())
        if count:
            found.append(VerdictShare(name, count, count / len(trials)))
    return tuple(found)


def failure_maps(
    trials: pd.DataFrame, study: Study, ranked: Sequence[str]
) -> tuple[FailureMap, ...]:
    """Trials in the planes of the most important parameters that are numbers.

    Args:
        trials: :attr:`Run.trials`.
        study: Its study.
        ranked: Dotted paths, the most important first.
    """
    numeric = [path for path in ranked if _is_numeric(trials, study, path)][:3]
    pairs = [(0, 1), (0, 2), (1, 2)] if len(numeric) == 3 else [(0, 1)] * (len(numeric) == 2)
    return tuple(_map(trials, study, numeric[a], numeric[b]) for a, b in pairs)


def _is_numeric(trials: pd.DataFrame, study: Study, path: str) -> bool:
    spec = study.search.get(path)
    column = trials.get(CONFIG_PREFIX + path)
    is_number = spec is not None and spec.domain in NUMERIC_DOMAINS
    return is_number and column is not None and pd.api.types.is_numeric_dtype(column)


def _map(trials: pd.DataFrame, study: Study, x_path: str, y_path: str) -> FailureMap:
    x, y = (trials[CONFIG_PREFIX + path].astype("float64") for path in (x_path, y_path))
    known = x.notna() & y.notna()
    rows = zip(trials["number"], x, y, trials["verdict"].astype("string"), known, strict=True)
    points = tuple(
        MapPoint(int(number), float(a), float(b), str(verdict) if is_known(verdict) else None)
        for number, a, b, verdict, has in rows
        if has
    )
    return FailureMap(x_path, y_path, _is_log(study, x_path), _is_log(study, y_path), points)


def _is_log(study: Study, path: str) -> bool:
    """A multiple of what is searched on a logarithmic scale is spread like it."""
    spec = study.search[path]
    is_log = spec.domain in ("log_uniform", "log_int")
    return is_log or bool(spec.times and spec.times in study.search and _is_log(study, spec.times))


def examples(trials: pd.DataFrame, epochs: pd.DataFrame, best: int | None) -> tuple[Example, ...]:
    """One trial for each verdict: the best one for healthy, else the longest.

    Args:
        trials: :attr:`Run.trials`.
        epochs: :attr:`Run.epochs`.
        best: The best trial's number.
    """
    found = []
    for verdict in VERDICTS:
        chosen = trials[(trials["verdict"].astype("string") == verdict) & (trials["epochs"] > 0)]
        if chosen.empty:
            continue
        ordered = chosen.sort_values(["epochs", "number"], ascending=[False, True])
        number = int(ordered["number"].iloc[0])
        if best is not None and (chosen["number"] == best).any():
            number = best
        began = chosen.loc[chosen["number"] == number, "verdict_epoch"].iloc[0]
        rows = epochs[epochs["number"] == number]
        found.append(_example(verdict, number, int(began) if is_known(began) else None, rows))
    return tuple(example for example in found if example is not None)


def _example(verdict: str, number: int, began: int | None, rows: pd.DataFrame) -> Example | None:
    if rows.empty:
        return None
    return Example(
        verdict=verdict,
        number=number,
        began=began,
        epochs=tuple(int(epoch) for epoch in rows["epoch"]),
        curves={
            name: tuple(float(v) if is_known(v) else None for v in rows[name].astype("float64"))
            for name in EXAMPLE_COLUMNS
        },
        evidence=str(rows["evidence"].iloc[-1]) if is_known(rows["evidence"].iloc[-1]) else "",
    )
