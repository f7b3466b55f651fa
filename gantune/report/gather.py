"""Everything that a report of one run is made of."""

from dataclasses import dataclass

from gantune.analysis.recorded import epochs_of_search, of_search
from gantune.analysis.run import Run
from gantune.engine.real import RealData, read_real
from gantune.paths import RunPaths
from gantune.report.answer import Answer, answer
from gantune.report.confirmed import Confirmed, Front, confirmed, front
from gantune.report.found import Found, find
from gantune.report.grids import Grid, grids
from gantune.report.modes import (
    PANELS,
    Curves,
    ModeHistogram,
    PrecisionRecall,
    metric_curves,
    mode_histograms,
    precision_recall,
)
from gantune.report.provenance import Provenance, provenance
from gantune.report.search import (
    Bar,
    History,
    Rung,
    SpentCurve,
    best_against_epochs,
    history,
    rungs,
    time_line,
)
from gantune.report.stability import (
    Example,
    FailureMap,
    VerdictShare,
    examples,
    failure_maps,
    verdict_shares,
)
from gantune.report.thinning import PICTURE_BYTES
from gantune.report.trials import TrialsTable, trials_table

PICTURES = 8
"""Pictures of one trial over time."""


@dataclass(frozen=True)
class Material:
    """The records of one run's report."""

    run: Run
    best: int | None
    found: Found
    answer: Answer
    seeds: Confirmed | None
    front: Front | None
    shares: tuple[VerdictShare, ...]
    maps: tuple[FailureMap, ...]
    examples: tuple[Example, ...]
    curves: tuple[Curves, ...]
    histograms: tuple[ModeHistogram, ...]
    precision_recall: tuple[PrecisionRecall, ...]
    history: History
    spent: SpentCurve
    rungs: tuple[Rung, ...]
    time_line: tuple[Bar, ...]
    table: TrialsTable
    provenance: Provenance
    real: RealData | None
    grids: dict[int, Grid]


def gather(run: Run) -> Material:
    """Makes every record from a run's tables and files; reads only.

    Raises:
        UsageError: A link leads out of the run.
    """
    paths = RunPaths(run.root)
    # Repeats of a confirmation are no part of the search, and are of one region of the space.
    trials, epochs, objective = of_search(run), epochs_of_search(run), run.study.objective
    found, seeds = find(run), confirmed(run)
    told = answer(run, seeds, found.importance, found.worst)
    best = told.best.number if told.best else None
    shown = examples(trials, epochs, best)
    histograms = mode_histograms(trials, epochs, objective.sign, best)
    table = trials_table(run, found.ranked)
    first = [best, told.base.number if told.base else None, *(h.number for h in histograms)]
    numbers = [n for n in [*first, *(e.number for e in shown)] if n is not None]
    numbers += [row.number for row in table.rows]
    return Material(
        run=run,
        best=best,
        found=found,
        answer=told,
        seeds=seeds,
        front=front(run),
        shares=verdict_shares(trials),
        maps=failure_maps(trials, run.study, found.ranked),
        examples=shown,
        curves=tuple(metric_curves(epochs, name, best) for name in PANELS),
        histograms=histograms,
        precision_recall=precision_recall(trials, epochs),
        history=history(trials, objective.sign),
        spent=best_against_epochs(epochs, "objective", objective.direction),
        rungs=rungs(trials, epochs, run.study.rungs),
        time_line=time_line(trials),
        table=table,
        provenance=provenance(run),
        real=read_real(paths, run.study.trial.data),
        grids=grids(paths, list(dict.fromkeys(numbers)), PICTURES, PICTURE_BYTES),
    )
