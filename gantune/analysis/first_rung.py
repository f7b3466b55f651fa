"""What trials had reached at the first rung: there all of them compare."""

import pandas as pd

from gantune.analysis.recorded import Recorded


def values_at_first_rung(run: Recorded) -> "pd.Series[float]":
    """Each trial's best objective so far at the moment of the first rung.

    It is the last moment at which no trial has been stopped for its value: later only the better
    ones are left. Without rungs, and for trials that are shorter than the first, it is the end.

    A trial that has diverged by then has the worst value of all others: as a missing one it would
    hide the parameters that make trials diverge. One that diverges later has its value. One that a
    verdict stopped before has what it had reached. Trials that are not there yet, that failed or
    were stopped by hand before, or that have no value, are left out.

    Returns:
        Values by trial number, in order of numbers.
    """
    trials = run.trials.set_index("number")
    reached = _at_rung(run)
    is_over = (trials["status"] == "completed") | (trials["stopped_by"] == "verdict")
    ended = trials.loc[is_over.fillna(False), "objective"].astype("float64")
    # reindex: rows of a trial can be lost with a damaged table.
    known = reached[reached.index.isin(trials.index)].combine_first(ended).dropna()
    diverged = trials.index[trials["status"] == "diverged"].difference(reached.index)
    if len(known):
        lower = run.study.objective.direction == "minimize"
        worst = known.max() if lower else known.min()
        known = pd.concat([known.drop(diverged, errors="ignore"), pd.Series(worst, diverged)])
    return known.astype("float64").rename("objective").rename_axis("number").sort_index()


def _at_rung(run: Recorded) -> "pd.Series[float]":
    """Best objective so far of the trials that came to the first rung undiverged."""
    epochs, rungs = run.epochs, run.study.rungs
    if getattr(run.study.scheduler, "unit", None) == "seconds":
        is_there = epochs["wall_s"] >= rungs[0]
    else:
        is_there = (epochs["rung"] == 0).fillna(False)
    is_there &= (epochs["verdict"] != "diverged").fillna(True)
    return epochs[is_there].groupby("number")["best_objective"].first()
