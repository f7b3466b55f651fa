"""The records of several runs side by side."""

from collections.abc import Sequence
from dataclasses import dataclass

from gantune.analysis.compare import Comparison, compare
from gantune.analysis.ranked import feasible
from gantune.analysis.recorded import of_search
from gantune.analysis.run import Run
from gantune.errors import RunError, UsageError
from gantune.paths import RunPaths
from gantune.report.answer import Reached, reached
from gantune.report.confirmed import Confirmed, confirmed
from gantune.report.gather import PICTURES
from gantune.report.grids import Grid, grids
from gantune.report.stability import VerdictShare, verdict_shares
from gantune.report.thinning import PICTURE_BYTES
from gantune.report.words import Fact, Sentence, in_words, is_known, short


@dataclass(frozen=True)
class Side:
    """One of the runs.

    Attributes:
        label: What it is called.
        run: The run.
        best: The best trial of its search.
        seeds: Its confirmation over seeds, which can have told another one to be the best.
        shares: Verdicts of its trials.
        grid: Samples of the best trial.
    """

    label: str
    run: Run
    best: Reached | None
    seeds: Confirmed | None
    shares: tuple[VerdictShare, ...]
    grid: Grid | None


@dataclass(frozen=True)
class Several:
    """Runs side by side.

    Attributes:
        sides: The runs in the order in which they were named.
        comparison: What compares; None where their values mean different things.
        why_not: Why nothing compares.
    """

    sides: tuple[Side, ...]
    comparison: Comparison | None
    why_not: str


def put_side_by_side(runs: Sequence[Run]) -> Several:
    """Makes the records of several runs."""
    comparison, why_not = None, ""
    try:
        comparison = compare(runs)
    except (UsageError, RunError) as error:
        why_not = str(error)
    names = [run.name for run in runs]
    labels = (
        [run.name if names.count(run.name) == 1 else str(run.root) for run in runs]
        if comparison is None
        else [str(label) for label in comparison.runs.index]
    )
    sides = [_side(label, run, comparison) for label, run in zip(labels, runs, strict=True)]
    return Several(tuple(sides), comparison, why_not)


def _side(label: str, run: Run, comparison: Comparison | None) -> Side:
    best = _best_of_search(run) if comparison is None else comparison.runs.loc[label, "trial"]
    best = int(str(best)) if is_known(best) else None
    found = grids(RunPaths(run.root), [best], PICTURES, PICTURE_BYTES) if best is not None else {}
    trials = of_search(run)
    return Side(
        label=label,
        run=run,
        best=None if best is None else reached(run.trials, best),
        seeds=confirmed(run),
        shares=verdict_shares(trials),
        grid=found.get(best) if best is not None else None,
    )


def _best_of_search(run: Run) -> int | None:
    try:
        return int(feasible(run)["number"].iloc[0])
    except RunError:
        return None


def several_lead(info: Several) -> Sentence:
    """Which run has the best trial."""
    found = info.comparison
    if found is None:
        return (f"These runs do not compare: {short(info.why_not, 400)}.",)
    lower = found.goal == "minimize"
    known = found.runs["best"].dropna().sort_values(ascending=lower, kind="stable")
    better = "lower" if lower else "higher"
    parts: list[str | Fact] = [f"The best {in_words(found.metric)} ({better} is better): "]
    for place, (label, value) in enumerate(known.items()):
        joint = ", " if 0 < place < len(known) - 1 else " and " if place else ""
        parts += [joint, Fact(f"runs.{label}.best", float(value)), f" in {short(str(label), 60)}"]
    return (*parts, ".")
