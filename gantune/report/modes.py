"""Records for the section on mode collapse."""

from dataclasses import dataclass

import pandas as pd

from gantune.report.thinning import thin_indices, thin_numbers
from gantune.report.words import is_known

PANELS = ("modes", "mode_entropy", "coverage")


@dataclass(frozen=True)
class Curve:
    """A metric of one trial over its epochs; epochs without a value are left out."""

    number: int
    epochs: tuple[int, ...]
    values: tuple[float, ...]


@dataclass(frozen=True)
class Curves:
    """A metric of many trials over their epochs.

    Attributes:
        column: The metric.
        best: The best trial's number.
        drawn: The curves, each thinned.
        trials: How many trials have a value, drawn or not.
    """

    column: str
    best: int | None
    drawn: tuple[Curve, ...]
    trials: int


@dataclass(frozen=True)
class ModeHistogram:
    """Shares of samples per mode, at a trial's best epoch; or the data's own."""

    name: str
    number: int | None
    epoch: int | None
    shares: tuple[float, ...]


@dataclass(frozen=True)
class PrecisionRecall:
    """A trial at its best epoch."""

    number: int
    precision: float
    recall: float
    verdict: str | None


def metric_curves(epochs: pd.DataFrame, column: str, best: int | None) -> Curves:
    """All trials' curves of a metric; of many trials an even choice, the best among them."""
    known = epochs[["number", "epoch", column]].dropna()
    known = known.assign(**{column: known[column].astype("float64")})
    numbers = [int(number) for number in known["number"].unique()]
    shown = set(thin_numbers(numbers, keep=best))
    drawn = []
    for number, rows in known[known["number"].isin(shown)].groupby("number"):
        chosen = rows.iloc[thin_indices(len(rows))]
        drawn.append(
            Curve(
                int(str(number)),
                tuple(int(e) for e in chosen["epoch"]),
                tuple(float(v) for v in chosen[column]),
            )
        )
    return Curves(column, best, tuple(drawn), len(numbers))


def at_best_epoch(trials: pd.DataFrame, epochs: pd.DataFrame) -> pd.DataFrame:
    """The row of ``epochs`` at each trial's best epoch, for trials that have one."""
    wanted = trials[["number", "best_epoch"]].dropna()
    wanted = wanted.rename(columns={"best_epoch": "epoch"})
    return wanted.merge(epochs, on=["number", "epoch"], how="inner")


def mode_histograms(
    trials: pd.DataFrame, epochs: pd.DataFrame, sign: int, best: int | None
) -> tuple[ModeHistogram, ...]:
    """The histograms of the best, the median and the worst trial that have one.

    Args:
        trials: :attr:`Run.trials`.
        epochs: :attr:`Run.epochs`.
        sign: 1 where a lower objective is better, -1 where a higher one is.
        best: The best trial, which seeds can have told to be another than the first in order.
    """
    rows = at_best_epoch(trials, epochs)
    rows = rows[rows["mode_histogram"].notna() & rows["objective"].notna()]
    if rows.empty:
        return ()
    order = rows.assign(rank=rows["objective"] * sign).sort_values(["rank", "number"])
    numbers = [int(number) for number in order["number"]]
    first = numbers.index(best) if best in numbers else 0
    places = {"best": first, "median": (len(order) - 1) // 2, "worst": len(order) - 1}
    found, seen = [], set()
    for name, place in places.items():
        row = order.iloc[place]
        if place not in seen:
            seen.add(place)
            shares = tuple(float(share) for share in row["mode_histogram"])
            found.append(ModeHistogram(name, int(row["number"]), int(row["epoch"]), shares))
    return tuple(found)


def precision_recall(trials: pd.DataFrame, epochs: pd.DataFrame) -> tuple[PrecisionRecall, ...]:
    """Precision and recall of each trial at its best epoch."""
    rows = at_best_epoch(trials, epochs).dropna(subset=["precision", "recall"])
    return tuple(
        PrecisionRecall(int(n), float(p), float(r), str(v) if is_known(v) else None)
        for n, p, r, v in zip(
            rows["number"],
            rows["precision"],
            rows["recall"],
            rows["verdict"].astype("string"),
            strict=True,
        )
    )
