"""What the analysis says of a whole run, in the words of the report."""

from dataclasses import dataclass

import pandas as pd

from gantune.analysis.failures import failures
from gantune.analysis.importance import importance_table
from gantune.analysis.recorded import of_search
from gantune.analysis.run import Run
from gantune.report.lessons import WorstRegion
from gantune.report.thinning import thin_indices
from gantune.study import Study

FEWEST = 3
"""Trials in a part of a domain before it is called a region."""

MOST_TRIALS, FEWEST_TRIALS, EFFORT = 200, 40, 1500
"""Trials behind an importance, at most and at least, and their product with the parameters."""

PARTS = 4
MAX_CHOICES = 12


@dataclass(frozen=True)
class Rates:
    """Verdicts over the parts of one parameter's domain.

    Attributes:
        path: The parameter.
        parts: (name, trials, count by verdict) of each part.
    """

    path: str
    parts: tuple[tuple[str, int, dict[str, int]], ...]


@dataclass(frozen=True)
class Found:
    """What the analysis found.

    Attributes:
        importance: A row per parameter, the most important first.
        ranked: Searched paths, the most important first, all of them.
        rates: Verdicts by part of the most important parameters' domains.
        worst: The part in which most trials failed; None where nowhere did.
        warning: What speaks against the importances; None: nothing.
    """

    importance: pd.DataFrame
    ranked: tuple[str, ...]
    rates: tuple[Rates, ...]
    worst: WorstRegion | None
    warning: str | None


def find(run: Run) -> Found:
    """Importances and regions of failure."""
    table = importance_table(_sample(run))
    important = [str(path) for path in table.dropna(subset=["importance"])["parameter"]]
    own = [path for path, spec in run.study.search.items() if spec.domain]
    ranked = [*important, *(path for path in run.study.search if path not in important)]
    shown = [path for path in ranked if path in own][:PARTS]
    counts = [failures(run, path) for path in shown] if len(run.trials) else []
    rates = tuple(_rates(path, rows) for path, rows in zip(shown, counts, strict=False))
    warning = table.attrs.get("warning")
    count = len(of_search(run))
    if warning is None and count > _limit(run):
        warning = f"of {count:,} trials an even choice of {_limit(run)} was looked at"
    return Found(
        importance=table,
        ranked=tuple(ranked),
        rates=tuple(r for r in rates if any(trials for _, trials, _ in r.parts)),
        worst=_worst(counts),
        warning=str(warning) if warning else None,
    )


@dataclass(frozen=True)
class _Sample:
    """A run of which some trials are looked at."""

    name: str
    study: Study
    trials: pd.DataFrame
    epochs: pd.DataFrame


def _limit(run: Run) -> int:
    return max(FEWEST_TRIALS, min(MOST_TRIALS, EFFORT // max(1, len(run.study.search))))


def _sample(run: Run) -> _Sample:
    """At most so many trials: the effort of an importance grows with their square."""
    own = of_search(run)
    chosen = own.iloc[thin_indices(len(own), _limit(run))]
    epochs = run.epochs
    if len(chosen) < len(run.trials):
        epochs = epochs[epochs["number"].isin(chosen["number"])]
    return _Sample(run.name, run.study, chosen, epochs)


def _rates(path: str, rows: pd.DataFrame) -> Rates:
    parts = []
    for name, part in rows.groupby("bin", sort=False):
        counts = dict(zip(map(str, part["verdict"]), map(int, part["count"]), strict=True))
        # Least severe first, like the bars of all trials.
        parts.append((str(name), int(part["trials"].iloc[0]), dict(reversed(counts.items()))))
    return Rates(path, tuple(parts[:MAX_CHOICES]))


def _worst(tables: list[pd.DataFrame]) -> WorstRegion | None:
    found: WorstRegion | None = None
    for table in tables:
        bad = table[table["verdict"] != "healthy"].groupby(["parameter", "bin"], sort=False)
        for (path, part), rows in bad:
            trials, failed = int(rows["trials"].iloc[0]), int(rows["count"].sum())
            region = WorstRegion(str(path), str(part), trials, failed)
            if trials >= FEWEST and failed and (found is None or region.rate > found.rate):
                found = region
    return found
