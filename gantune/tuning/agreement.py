"""Optuna's journal against the tables, when a run is opened: damage that still reads well."""

import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial

from gantune.errors import GantuneError
from gantune.space import Space, propose
from gantune.tuning.journal import trials

ADVICE = "put a copy of it in its place, or begin a new run with --warm-start"


def refuse_other_history(
    path: Path, study: optuna.Study, space: Space, starts: Mapping[int, Mapping[str, Any]]
) -> None:
    """Refuses a journal that tells of other trials than the tables.

    A trial is asked for in the journal before anything else of it is written, and its parameters
    stand in both.

    Args:
        path: The journal.
        study: As read from it.
        space: The search space.
        starts: First rows of the trials in the tables, by number.

    Raises:
        GantuneError: It does; names the journal and the trial.
    """
    asked = trials(study)
    for number, row in sorted(starts.items()):
        if number >= len(asked):
            found = f"it has {len(asked)} trials, and trial {number} has begun"
        elif not _has(asked[number], space, json.loads(row["parameters"])):
            found = f"trial {number} has other parameters there than in the tables"
        else:
            continue
        raise GantuneError(f"{path} is damaged: {found}; {ADVICE}")


def _has(trial: FrozenTrial, space: Space, values: Mapping[str, Any]) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a value outside its domain: refused below
            proposed = propose(space, trial)
    except ValueError:  # a parameter is missing, or of another domain
        return False
    # A length that follows from other parameters stands only in the tables.
    return all(values.get(name) == value for name, value in proposed.items())
