"""How good a run was after how much: the best value so far against what was spent."""

from typing import Literal, get_args

import pandas as pd

from gantune.analysis.recorded import Recorded, epochs_of_search
from gantune.errors import UsageError
from gantune.goals import Goal

Per = Literal["epochs", "images", "seconds"]
"""What a run spends."""


def curve(run: Recorded, per: Per = "epochs") -> pd.DataFrame:
    """The best objective so far against what all trials of the search together had spent.

    Args:
        run: The run.
        per: ``epochs``; ``images``, real ones shown to D; ``seconds`` of training and evaluation,
            summed over trials, whether they ran at once or not.

    Returns:
        A row per epoch of any trial, in order of arrival: ``spent`` until its end, ``objective``
        (the best so far, NaN before the first value) and ``number``, the trial that has it.

    Raises:
        UsageError: ``per`` is none of these.
    """
    if per not in get_args(Per):
        raise UsageError(f"per is one of {', '.join(get_args(Per))}, has {per}")
    spent = spent_curve(epochs_of_search(run), "objective", run.study.objective.direction)
    return pd.DataFrame(
        {
            "spent": spent[per].astype("float64"),
            "objective": spent["best"],
            "number": spent["number"],
        }
    )


def time_to(run: Recorded, value: float, per: Per = "epochs") -> float | None:
    """What all trials together had spent when the objective was first as good as a value.

    Args:
        run: The run.
        value: Of the study's metric.
        per: As for :func:`curve`.

    Returns:
        The amount; None where the run never was as good.

    Raises:
        UsageError: ``per`` is none of these.
    """
    found = curve(run, per)
    reached = is_as_good(found["objective"], value, run.study.objective.direction)
    return float(found["spent"][reached].iloc[0]) if reached.any() else None


def is_as_good(values: "pd.Series[float]", value: float, goal: Goal) -> "pd.Series[bool]":
    """Where values are as good as a value, or better; a null is not."""
    return values <= value if goal == "minimize" else values >= value


def spent_curve(epochs: pd.DataFrame, metric: str, goal: Goal) -> pd.DataFrame:
    """The best value so far against what all trials together had spent.

    Args:
        epochs: :attr:`Run.epochs`.
        metric: A column of it.
        goal: Which way it is better.

    Returns:
        A row per epoch in order of arrival: ``epochs``, ``images`` (real samples shown),
        ``seconds`` (of training and evaluation, not of waiting), ``best`` (NaN before any value)
        and ``number``, the trial that has it.
    """
    images = epochs.groupby("number")["images_seen"].diff().fillna(epochs["images_seen"])
    seconds = epochs["train_s"].fillna(0) + epochs["eval_s"].fillna(0)
    spent = epochs.assign(images=images.fillna(0), seconds=seconds)
    # Stable: what has no order of arrival stays in order of trials.
    spent = spent.sort_values("seq", kind="stable", ignore_index=True)
    values = spent[metric].astype("float64")
    best = values.cummin() if goal == "minimize" else values.cummax()
    best = best.ffill()
    is_new = best.ne(best.shift()) & best.notna()
    return pd.DataFrame(
        {
            "epochs": range(1, len(spent) + 1),
            "images": spent["images"].cumsum(),
            "seconds": spent["seconds"].cumsum(),
            "best": best,
            "number": spent["number"].where(is_new).ffill(),
        }
    )
