"""Two or more runs side by side: what each reached, what it took, how their studies differ."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, get_args

import pandas as pd

from gantune.analysis.comparable import Compared, check_comparable
from gantune.analysis.differences import differences
from gantune.analysis.progress import Per, is_as_good, spent_curve
from gantune.analysis.recorded import epochs_of_search, of_search
from gantune.errors import RunError, UsageError
from gantune.goals import OBJECTIVES, Goal

SHARES = (0.125, 0.25, 0.5, 1.0)
"""Budgets that are shown, of the epochs of the run that spent the fewest."""


@dataclass(frozen=True)
class Comparison:
    """Runs side by side by one metric; a run is called by its name, or its directory.

    Of the searches: what confirms a configuration over seeds is left out, for the best of many
    repeats of one is luck, and spends what the other run had no use for.

    Attributes:
        metric: The metric.
        goal: Which way it is better.
        runs: One row per run: ``status``, ``best``, ``trial``, ``epoch`` (of the best
            value; null where it has none),
            ``trials``, ``epochs`` (spent in all), ``seconds`` (of training and evaluation),
            ``features``, ``hash``, ``samples``.
        curves: One row per run and epoch spent, in order of arrival: ``run``, ``epochs``,
            ``images`` and ``seconds`` spent until then, ``best`` so far, ``number`` of its trial.
        budgets: Best so far: a row per budget in epochs, a column per run.
        target: The worst of the runs' best values: what all of them reached that have a value.
        reached: What each had spent when it was as good as that: a column per run, the rows
            ``epochs``, ``images`` and ``seconds``.
        differences: A row per dotted path in which the studies differ, a column per run.
    """

    metric: str
    goal: Goal
    runs: pd.DataFrame
    curves: pd.DataFrame = field(repr=False)
    budgets: pd.DataFrame = field(repr=False)
    target: float
    reached: pd.DataFrame = field(repr=False)
    differences: pd.DataFrame = field(repr=False)


def compare(runs: Sequence[Compared], *, metric: str | None = None) -> Comparison:
    """Compares runs by a metric.

    Args:
        runs: Two or more.
        metric: A column of ``epochs``; default the runs' objective.

    Raises:
        IncomparableError: The metric's values mean different things in two of the runs.
        UsageError: There are fewer than two runs, they have no objective in common and no metric
            is named, or the metric is none.
        RunError: No run has a value of the metric.
    """
    if len(runs) < 2:
        raise UsageError("two runs or more make a comparison")
    name = metric or _common_objective(runs)
    goal = _goal(runs, name)
    for other in runs[1:]:
        check_comparable(name, runs[0], other)
    if not any(_epochs_of(run, name)[name].notna().any() for run in runs):
        raise RunError(f"no trial of these runs has a {name}")
    labels = _labels(runs)
    curves = {
        label: spent_curve(_epochs_of(run, name), name, goal)
        for label, run in zip(labels, runs, strict=True)
    }
    rows = [_row(run, name, goal) for run in runs]
    table = pd.DataFrame(rows, index=_index(labels, "run")).astype(
        {"best": "float64", "trial": "Int64", "epoch": "Int64", "samples": "Int64"}
    )
    target = float(table["best"].max() if goal == "minimize" else table["best"].min())
    return Comparison(
        metric=name,
        goal=goal,
        runs=table,
        curves=pd.concat(
            [curve.assign(run=label) for label, curve in curves.items()], ignore_index=True
        ),
        budgets=_budgets(curves),
        target=target,
        reached=_reached(curves, target, goal),
        differences=differences(labels, [run.study for run in runs]),
    )


def _common_objective(runs: Sequence[Compared]) -> str:
    names = {run.study.objective.metric for run in runs}
    if len(names) > 1:
        listed = ", ".join(f"{run.name} {run.study.objective.metric}" for run in runs)
        raise UsageError(f"the runs have different objectives: {listed}; name a metric for both")
    return names.pop()


def _goal(runs: Sequence[Compared], metric: str) -> Goal:
    for run in runs:
        if run.study.objective.metric == metric:
            return run.study.objective.direction
    if metric not in OBJECTIVES:
        known = ", ".join(OBJECTIVES)
        raise UsageError(f"{metric} is no metric that has a better end; known: {known}")
    return OBJECTIVES[metric]


def _epochs_of(run: Compared, metric: str) -> pd.DataFrame:
    """The search's epochs, which have the metric's column even where it has no value."""
    epochs = epochs_of_search(run)
    return epochs if metric in epochs else epochs.assign(**{metric: float("nan")})


def _labels(runs: Sequence[Compared]) -> list[str]:
    """Names, or directories where runs of several places share a name."""
    names = [run.name for run in runs]
    labels = [
        name if names.count(name) == 1 else str(run.root)
        for name, run in zip(names, runs, strict=True)
    ]
    if len(set(labels)) < len(labels):
        raise UsageError(f"a run stands twice in the comparison: {', '.join(labels)}")
    return labels


def _row(run: Compared, metric: str, goal: Goal) -> dict[str, Any]:
    epochs = _epochs_of(run, metric)
    values = epochs[metric].astype("float64")
    at = None
    if values.notna().any():
        at = int(values.argmin() if goal == "minimize" else values.argmax())
    measured = run.measured_in
    return {
        "status": run.status,
        "best": None if at is None else float(values.iloc[at]),
        "trial": None if at is None else int(epochs["number"].iloc[at]),
        "epoch": None if at is None else int(epochs["epoch"].iloc[at]),
        "trials": len(of_search(run)),
        "epochs": len(epochs),
        "seconds": float(epochs["train_s"].sum() + epochs["eval_s"].sum()),
        "features": measured.name if measured else None,
        "hash": measured.hash if measured else None,
        "samples": measured.samples if measured else None,
    }


def _budgets(curves: dict[str, pd.DataFrame]) -> pd.DataFrame:
    least = min(len(curve) for curve in curves.values())
    levels = sorted({max(1, round(share * least)) for share in SHARES}) if least else []
    rows = [level - 1 for level in levels]
    columns = {label: curve["best"].to_numpy()[rows] for label, curve in curves.items()}
    return pd.DataFrame(columns, index=_index(levels, "epochs"))


def _reached(curves: dict[str, pd.DataFrame], target: float, goal: Goal) -> pd.DataFrame:
    spent = list(get_args(Per))
    first = {
        label: curve.loc[is_as_good(curve["best"], target, goal), spent].astype("float64").head(1)
        for label, curve in curves.items()
    }
    columns = {label: rows.iloc[0] if len(rows) else float("nan") for label, rows in first.items()}
    return pd.DataFrame(columns, index=_index(spent, "spent"))


def _index(values: Sequence[Any], name: str) -> "pd.Index[Any]":
    index: pd.Index[Any] = pd.Index(values, name=name)
    return index
