"""What trials had reached at the first rung: there all of them compare."""

import pandas as pd

from gantune.analysis.recorded import Recorded, epochs_of_search, of_search


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
    trials = of_search(run).set_index("number")
    reached = _at_rung(run)
    # Rows of a trial can be lost with a damaged table.
    reached = reached[reached.index.isin(trials.index)]
    others = trials[~trials.index.isin(reached.index)]
    is_over = (others["status"] == "completed") | (others["stopped_by"] == "verdict")
    ended = others.loc[is_over.fillna(False), "objective"].astype("float64")
    known = pd.concat([reached, ended]).dropna()
    if len(known):
        lower = run.study.objective.direction == "minimize"
        worst = known.max() if lower else known.min()
        diverged = others.index[others["status"] == "diverged"]
        known = pd.concat([known, pd.Series(worst, diverged, dtype="float64")])
    known.index = known.index.astype("int64").rename("number")
    return known.rename("objective").sort_index()


def _at_rung(run: Recorded) -> "pd.Series[float]":
    """Best objective so far of the trials that came to the first rung undiverged."""
    epochs, rungs = epochs_of_search(run), run.study.rungs
    if rungs and getattr(run.study.scheduler, "unit", None) == "seconds":
        is_there = epochs["wall_s"] >= rungs[0]
    else:
        is_there = (epochs["rung"] == 0).fillna(False)
    is_there &= (epochs["verdict"] != "diverged").fillna(True)
    first = epochs[is_there].drop_duplicates("number")
    return first.set_index("number")["best_objective"]
