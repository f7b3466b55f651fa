"""What Optuna hears of a trial beside how it ended."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from gantune.goals import metric_of
from gantune.pace import Pace
from gantune.study import Study
from gantune.trial import Record

HUGE = 1e9
"""The violation of a constraint whose metric has no value: Optuna sums violations up."""


class Told(NamedTuple):
    """Values of a trial, for Optuna.

    Attributes:
        way: Best objective so far by position, wherever it was evaluated; none of two objectives,
            of which Optuna takes none.
        final: The objectives at its best epoch; empty where one has no value.
        violations: By how much that epoch misses each constraint, at most 0 where it meets it.
    """

    way: Mapping[int, float] = {}
    final: Sequence[float] = ()
    violations: Mapping[str, float] = {}


def told_of(study: Study, records: Sequence[Record], pace: Pace) -> Told:
    """What Optuna hears of a trial's records.

    Args:
        study: Its objectives and constraints.
        records: The trial's, in order.
        pace: Where they stand on the study's scale.
    """
    best = study.ranking.best(records)
    if best is None:
        return Told()
    second = study.objective.second
    final = [best["objective"], *([metric_of(best, second.metric)] if second else [])]
    known = [float(value) for value in final if value is not None]
    return Told(
        way={} if second else _way(records, pace, "best_objective"),
        final=known if len(known) == len(final) else [],
        violations={str(c): min(c.violation(best), HUGE) for c in study.ranking.constraints},
    )


def told_at_rung(study: Study, records: Sequence[Record], pace: Pace) -> Told:
    """What a sampler is to know of a trial that waits at a rung: as the rung does, by where it is.

    Its best so far may be a lucky epoch of long ago, and draw a sampler to where nothing is.

    Args:
        study: Its objectives and constraints.
        records: The trial's, in order.
        pace: Where they stand on the study's scale.
    """
    told = told_of(study, records, pace)
    return told._replace(way=_way(records, pace, "objective")) if told.way else told


def _way(records: Sequence[Record], pace: Pace, column: str) -> dict[int, float]:
    # Where several epochs have one position the last counts.
    scored = [record for record in records if record["objective"] is not None]
    return {pace.position(record): float(record[column]) for record in scored}
