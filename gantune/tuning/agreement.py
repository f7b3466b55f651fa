"""Optuna's journal against the tables, when a run is opened: damage that still reads well."""

import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from gantune.errors import JournalError
from gantune.space import Space, encode, propose
from gantune.study import Study
from gantune.tuning.journal import as_told, trials
from gantune.tuning.judge import Judge
from gantune.tuning.ledger import Ledger
from gantune.tuning.outcome import Status
from gantune.tuning.told import Told

LINE = 1_000
"""Bytes of a line of the journal beside a parameter's choices: three to five times what it has."""

LINES = 10
"""Lines of a trial beside those of its parameters, constraints and records: three times as many."""

SLACK = 1_000_000
"""For what the tables do not tell of: the study itself, a trial that is asked for and not begun."""


def most_bytes(study: Study, begun: int, records: int) -> int:
    """How large a journal can be that tells of so many trials with so many records in all."""
    choices = [[encode(value) for value in spec.choice or ()] for spec in study.search.values()]
    # As Optuna has them: JSON as a text within JSON.
    text = 2 * sum(len(json.dumps(json.dumps(values))) for values in choices)
    lines = LINES + len(study.search) + len(study.constraints)
    return SLACK + begun * (lines * LINE + text) + records * LINE


def is_larger(path: Path, study: Study, begun: int, records: int) -> bool:
    """Whether a journal is larger than any that tells of so many trials and records."""
    return path.is_file() and path.stat().st_size > most_bytes(study, begun, records)


def refuse_larger(path: Path, study: Study, begun: int, records: int) -> None:
    """Refuses a journal that is too large for what the tables tell of, before it is parsed.

    A long study's may well have hundreds of megabytes; then its tables have as many records.

    Args:
        path: The journal; may be missing.
        study: The run's.
        begun: Trials in the tables.
        records: Records of theirs.

    Raises:
        JournalError: It is, or is no plain file.
    """
    if path.exists() and not path.is_file():
        raise JournalError(f"{path} is damaged: it is no plain file")
    if is_larger(path, study, begun, records):
        size, most = path.stat().st_size, most_bytes(study, begun, records)
        told = f"{begun} trials with {records:,} records, as in the tables, take less than {most:,}"
        raise JournalError(f"{path} is damaged: it has {size:,} bytes, and {told}")


def refuse_other_history(
    path: Path, study: optuna.Study, space: Space, ledger: Ledger, judge: Judge
) -> None:
    """Refuses a journal that tells of other trials, or of other ends of theirs, than the tables.

    A trial is asked for in the journal before anything else of it is written, and its parameters
    stand in both. How it has ended is told from its records.

    Args:
        path: The journal.
        study: As read from it.
        space: The search space.
        ledger: The tables.
        judge: Knows what Optuna is told of them.

    Raises:
        JournalError: It does; names the journal and the trial.
    """
    asked = trials(study)
    for number, row in sorted(ledger.starts.items()):
        end = ledger.ends.get(number)
        if number >= len(asked):
            found = f"it has {len(asked)} trials, and trial {number} has begun"
        elif not _has(asked[number], space, parameters_of(row, space)):
            found = f"trial {number} has other parameters there than in the tables"
        elif end and not _has_ended(asked[number], judge.told(number), end["status"]):
            found = f"trial {number} has another end or other values there than in the tables"
        else:
            continue
        raise JournalError(f"{path} is damaged: {found}")


def parameters_of(start: Mapping[str, Any], space: Space) -> dict[str, Any]:
    """What was proposed for a trial, by path, from its first row.

    A length that follows from other parameters stands there, too, and nobody has proposed it.
    """
    searched = {parameter.path for parameter in space.parameters}
    values: dict[str, Any] = json.loads(start["parameters"])
    return {path: value for path, value in values.items() if path in searched}


def _has_ended(trial: FrozenTrial, told: Told, status: Status) -> bool:
    """Whether a trial is as it was told, or on the way there when a crash came."""
    expected = as_told(trial.number, {}, {}, told, status)
    if trial.state == TrialState.RUNNING:
        way = trial.intermediate_values.items() <= expected.intermediate_values.items()
        return way and trial.constraints.items() <= expected.constraints.items()
    return (
        trial.state == expected.state
        and trial.values == expected.values
        and trial.intermediate_values == expected.intermediate_values
        and trial.constraints == expected.constraints
        and trial.user_attrs.get("status") == status
    )


def _has(trial: FrozenTrial, space: Space, values: Mapping[str, Any]) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a value outside its domain: refused below
            proposed = propose(space, trial)
    except ValueError:  # a parameter is missing, or of another domain
        return False
    return proposed == values
