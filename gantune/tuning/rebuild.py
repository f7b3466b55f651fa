"""Optuna's journal, opened as the tables tell of it: where it is damaged, made again from them."""

import math
import warnings
from collections.abc import Mapping
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import optuna
from optuna.samplers import BaseSampler
from optuna.trial import FixedTrial, FrozenTrial, TrialState, create_trial

from gantune.errors import GantuneError, JournalError, UsageError
from gantune.space import Space, propose
from gantune.starts import as_keys
from gantune.storage import sync_folder
from gantune.study import Study
from gantune.tuning import journal
from gantune.tuning.agreement import parameters_of, refuse_larger, refuse_other_history
from gantune.tuning.confirm import Repeat
from gantune.tuning.judge import Judge
from gantune.tuning.ledger import Ledger


class Known(NamedTuple):
    """What a journal has to agree with.

    Attributes:
        study: The run's study.
        space: Its search space.
        ledger: Its tables.
        judge: Knows what Optuna is told of them.
    """

    study: Study
    space: Space
    ledger: Ledger
    judge: Judge


def open_study(path: Path, known: Known, sampler: BaseSampler) -> optuna.Study:
    """Opens or creates Optuna's study. The caller holds the run's lock.

    All that a journal tells of trials that have begun stands in the tables, too, and a sampler's
    next draw is a function of that: a damaged one is kept under another name, and made again.

    Raises:
        GantuneError: It is damaged, and the tables are no run's.

    Warns:
        UserWarning: It was damaged.
    """
    was_there = path.exists()
    try:
        return _opened(path, known, sampler)
    except JournalError as error:
        if not was_there:
            path.unlink()  # an empty one, made just now
        kept = _rebuild(path, known, sampler)
        said = f"; what was there is kept as {kept.name}" if kept else ""
        warnings.warn(f"{error}; another is made from the tables{said}", stacklevel=2)
    return _opened(path, known, sampler)


def _opened(path: Path, known: Known, sampler: BaseSampler) -> optuna.Study:
    refuse_larger(path, known.study, len(known.ledger.starts), len(known.ledger.order))
    found = _create(path, known.study, sampler)
    refuse_other_history(path, found, known.space, known.ledger, known.judge)
    return found


def _create(path: Path, study: Study, sampler: BaseSampler) -> optuna.Study:
    directions = [aim.direction for aim in study.objective.both]
    return journal.open_journal(path, study.name, directions, sampler)


def _rebuild(path: Path, known: Known, sampler: BaseSampler) -> Path | None:
    """Makes a journal from the tables; returns where the one that was there is now."""
    try:
        trials = [_trial(number, known) for number in range(len(known.ledger.starts))]
    except (UsageError, LookupError) as error:
        raise GantuneError(
            f"{path} is damaged, and cannot be made again from the tables: {error}"
        ) from None
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)
    made = _create(new, known.study, sampler)
    for trial in trials:
        made.add_trial(trial)
    kept = None
    if path.exists():
        names = (f"{path.name}.damaged-{number}" for number in count(1))
        kept = next(place for name in names if not (place := path.with_name(name)).exists())
        path.replace(kept)
    new.replace(path)
    sync_folder(path.parent)
    return kept


def _trial(number: int, known: Known) -> FrozenTrial:
    """A trial as it stands in a journal that nothing has happened to.

    Raises:
        UsageError: It is none of the space's.
        LookupError: The tables do not have it, or it confirms with a seed of another study.
    """
    start, end = known.ledger.starts.get(number), known.ledger.ends.get(number)
    if start is None:
        raise LookupError(f"trial {number} is not in them")
    drawn = FixedTrial(_drawn(known.space, parameters_of(start, known.space)))
    propose(known.space, drawn)
    if end is None:
        trial = create_trial(
            state=TrialState.RUNNING, params=drawn.params, distributions=drawn.distributions
        )
    else:
        told = known.judge.told(number)
        trial = journal.as_told(number, drawn.params, drawn.distributions, told, end["status"])
    if start["confirms"] is not None:
        repeat = _repeat(start["confirms"], start["seed"], known.study)
        trial.user_attrs = {**repeat._asdict(), **trial.user_attrs}
    return trial


def _repeat(confirms: int, seed: int, study: Study) -> Repeat:
    for number in range(study.confirm.seeds if study.confirm else 0):
        repeat = Repeat(confirms, number)
        if repeat.seed(study) == seed:
            return repeat
    raise LookupError(f"no repeat has the seed {seed}")


def _drawn(space: Space, values: Mapping[str, Any]) -> dict[str, Any]:
    """What was drawn, of which these values have come.

    A ratio that is told from a product may be a digit off: the next to it that makes the product.
    """
    drawn = as_keys(space, values)
    for parameter in space.parameters:
        if parameter.spec.times and isinstance(drawn.get(parameter.key), float):
            factor = {**space.base, **values}[parameter.spec.times]
            ratio = drawn[parameter.key]
            near = (ratio, math.nextafter(ratio, math.inf), math.nextafter(ratio, -math.inf))
            exact = (each for each in near if each * factor == values[parameter.path])
            drawn[parameter.key] = next(exact, ratio)
    return drawn
