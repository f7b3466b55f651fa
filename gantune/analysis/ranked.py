"""The trials of a run in order, and those of two objectives that no other beats in both."""

import pandas as pd

from gantune.analysis.recorded import Recorded, epochs_of_search
from gantune.errors import RunError
from gantune.goals import front


def ranked(run: Recorded) -> pd.DataFrame:
    """One row per trial of the search that has a value, best first.

    What meets the constraints comes before what does not; then by the first objective.

    Args:
        run: The run.

    Returns:
        ``number``, ``epoch`` (the best one), the objectives under their metrics' names, and
        ``feasible``: whether that epoch meets every constraint of the study.
    """
    study = run.study
    epochs = epochs_of_search(run).dropna(subset=["objective"])
    meets = pd.Series(True, index=epochs.index)
    for constraint in study.ranking.constraints:
        values = _metric(epochs, constraint.metric)
        meets &= (constraint.sign * (values - constraint.bound) <= 0) & values.notna()
    columns = {aim.metric: _metric(epochs, aim.metric) for aim in study.objective.both}
    columns[study.objective.metric] = epochs["objective"].astype("float64")
    table = pd.DataFrame({"number": epochs["number"], "epoch": epochs["epoch"], **columns})
    table = table.assign(feasible=meets, _first=study.objective.sign * epochs["objective"])
    table = table.sort_values(
        ["feasible", "_first", "number", "epoch"], ascending=[False, True, True, True]
    )
    return table.drop_duplicates("number").drop(columns="_first").reset_index(drop=True)


def pareto(run: Recorded) -> pd.DataFrame:
    """The trials that no other dominates: none is as good in both objectives and better in one.

    Each stands for its best epoch by the first objective, whose weights are kept. With one
    objective it is the best trial alone.

    Args:
        run: The run.

    Returns:
        Rows of :func:`ranked` that meet the constraints, by the first objective, with their
        ``config.<path>`` columns.

    Raises:
        RunError: No trial has a value, or none meets the constraints.
    """
    table = feasible(run)
    aims = run.study.objective.both
    if len(aims) == 1:
        table = table.head(1)
    else:
        table = table.dropna(subset=[aim.metric for aim in aims])
        signed = [aim.sign * table[aim.metric] for aim in aims]
        table = table.iloc[front(list(zip(*signed, strict=True)))]
    config = [name for name in run.trials.columns if str(name).startswith("config.")]
    return table.merge(run.trials[["number", *config]], on="number", how="left")


def feasible(run: Recorded) -> pd.DataFrame:
    """Those of :func:`ranked` that meet the constraints.

    Raises:
        RunError: There is none; it names the nearest.
    """
    study, table = run.study, ranked(run)
    if table.empty:
        raise RunError(f"{run.name}: no trial has a {study.objective.metric} yet")
    if not table["feasible"].any():
        first = table.iloc[0]
        raise RunError(
            f"{run.name}: no trial has {' and '.join(study.constraints)} at its best epoch; "
            f"without it trial {first['number']} is the best, "
            f"{study.objective.metric} {first[study.objective.metric]:.4g}"
        )
    return table[table["feasible"]].reset_index(drop=True)


def _metric(epochs: pd.DataFrame, name: str) -> "pd.Series[float]":
    """A column as numbers; NaN where no epoch has the metric."""
    if name not in epochs:
        return pd.Series(float("nan"), index=epochs.index)
    return epochs[name].astype("float64")
