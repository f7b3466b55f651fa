"""Records for the section on the search."""

from dataclasses import dataclass
from datetime import datetime

import pandas as pd

from gantune.analysis.progress import spent_curve
from gantune.goals import Goal
from gantune.report.thinning import MAX_DOTS, thin_indices, thin_numbers
from gantune.report.words import is_known, label

IMPROVEMENTS = 300


@dataclass(frozen=True)
class TrialPoint:
    """A trial's best objective."""

    number: int
    objective: float
    status: str


@dataclass(frozen=True)
class History:
    """The objective over trials, and the best so far."""

    points: tuple[TrialPoint, ...]
    best: tuple[tuple[int, float], ...]
    without: int


@dataclass(frozen=True)
class SpentCurve:
    """The best so far against epochs spent in all trials: a step at each improvement."""

    steps: tuple[tuple[int, float], ...]
    epochs: int


@dataclass(frozen=True)
class RungPoint:
    """A trial at a rung."""

    number: int
    value: float
    is_stopped: bool


@dataclass(frozen=True)
class Rung:
    """Who came to a rung, and who was stopped there."""

    index: int
    level: float
    reached: int
    stopped: int
    points: tuple[RungPoint, ...]


@dataclass(frozen=True)
class Bar:
    """A trial on the time line; times in seconds since the run's first trial began."""

    number: int
    worker: str
    start: float
    seconds: float
    status: str


@dataclass(frozen=True)
class ShareOf:
    """What a parameter explains of the objective's variance over so many trials.

    Attributes:
        name: As it is shown.
        share: Of one whole with all others, unless conditional.
        trials: Behind it.
        is_conditional: Whether only some trials have it: then it is a share among those.
    """

    name: str
    share: float
    trials: int
    is_conditional: bool


def shares_of(importance: pd.DataFrame) -> tuple[ShareOf, ...]:
    """What is known of each parameter's importance, the largest first."""
    known = importance.dropna(subset=["importance"])
    columns = (known[name] for name in ("parameter", "importance", "trials", "is_conditional"))
    return tuple(
        ShareOf(label(str(path)), float(share), int(trials), bool(conditional))
        for path, share, trials, conditional in zip(*columns, strict=True)
    )


def history(trials: pd.DataFrame, sign: int) -> History:
    """The best objective of each trial in the order in which they were proposed.

    Args:
        trials: :attr:`Run.trials`.
        sign: 1 where a lower objective is better, -1 where a higher one is.
    """
    scored = trials.dropna(subset=["objective"])
    values = scored["objective"].astype("float64")
    so_far = (values * sign).cummin() * sign
    is_step = so_far != so_far.shift()
    best = [
        (int(n), float(v)) for n, v in zip(scored["number"][is_step], so_far[is_step], strict=True)
    ]
    if len(scored):
        best.append((int(scored["number"].iloc[-1]), float(so_far.iloc[-1])))
    shown = scored.iloc[thin_indices(len(scored), MAX_DOTS)]
    points = tuple(
        TrialPoint(int(n), float(v), str(s))
        for n, v, s in zip(shown["number"], shown["objective"], shown["status"], strict=True)
    )
    return History(points, tuple(best), len(trials) - len(scored))


def best_against_epochs(epochs: pd.DataFrame, metric: str, goal: Goal) -> SpentCurve:
    """The best so far of all trials against the epochs that they spent together."""
    if epochs.empty or metric not in epochs or not epochs[metric].notna().any():
        return SpentCurve((), len(epochs))
    curve = spent_curve(epochs, metric, goal).dropna(subset=["best"])
    is_step = curve["best"] != curve["best"].shift()
    steps = [
        (int(spent), float(best))
        for spent, best in zip(curve["epochs"][is_step], curve["best"][is_step], strict=True)
    ]
    steps = [steps[i] for i in thin_indices(len(steps), IMPROVEMENTS)]
    last = (int(curve["epochs"].iloc[-1]), float(curve["best"].iloc[-1]))
    return SpentCurve((*steps, last), len(epochs))


def rungs(
    trials: pd.DataFrame, epochs: pd.DataFrame, levels: tuple[float, ...]
) -> tuple[Rung, ...]:
    """What happened at each rung of the scheduler, by the values that it saw there."""
    latest = epochs.sort_values("epoch").groupby("number")["objective"].ffill()
    at = epochs.assign(latest=latest).dropna(subset=["rung"])
    last = epochs.groupby("number")["epoch"].max()
    ended = trials.set_index("number")["stopped_by"].astype("string")
    found = []
    for index, level in enumerate(levels):
        rows = at[at["rung"] == index]
        is_last = rows["epoch"] == rows["number"].map(last)
        by_scheduler = rows["number"].map(ended) == "asha"
        is_stopped = (is_last & by_scheduler.fillna(False)).astype(bool)
        chosen = set(thin_numbers([int(n) for n in rows["number"]]))
        points = tuple(
            RungPoint(int(n), float(v), bool(s))
            for n, v, s in zip(rows["number"], rows["latest"], is_stopped, strict=True)
            if is_known(v) and int(n) in chosen
        )
        found.append(Rung(index, float(level), len(rows), int(is_stopped.sum()), points))
    return tuple(rung for rung in found if rung.reached)


def time_line(trials: pd.DataFrame) -> tuple[Bar, ...]:
    """When each trial was trained, and by which worker; of many trials an even choice."""
    rows = trials.dropna(subset=["started_at", "wall_s"])
    rows = rows.iloc[thin_indices(len(rows), MAX_DOTS)]
    starts = [datetime.fromisoformat(str(text)).timestamp() for text in rows["started_at"]]
    zero = min(starts, default=0.0)
    return tuple(
        Bar(int(n), str(w) if is_known(w) else "?", start - zero, float(s), str(status))
        for n, w, start, s, status in zip(
            rows["number"], rows["worker"], starts, rows["wall_s"], rows["status"], strict=True
        )
    )
