"""Which parameters matter: shares of the objective's variance over the search space."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pandas as pd

from gantune.analysis.first_rung import values_at_first_rung
from gantune.analysis.recorded import Recorded
from gantune.analysis.searched import searched_values
from gantune.checks import search_space
from gantune.errors import UsageError
from gantune.space import Parameter, Space, propose
from gantune.starts import as_keys

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

FEW = 20
"""Fewer trials than this make an importance a hint."""

MOST = 300
"""Trials that a forest is fitted to, evenly spread over the run; its cost grows as their square."""

SEED = 0

COLUMNS = ("parameter", "importance", "trials", "is_conditional", "note")


def importance(run: Recorded) -> "pd.Series[float]":
    """The share of the objective's variance that each parameter explains by itself.

    fANOVA (Hutter, Hoos and Leyton-Brown, ICML 2014) as Optuna has it, with a fixed seed, on what
    all trials had reached at the first rung (:func:`values_at_first_rung`). On finished trials
    only, as Optuna does it, it would speak of the survivors.

    Returns:
        By searched path, the largest first; empty where nothing can be said. Paths without a
        condition sum to 1. A conditional path has its share within the trials that have it. A path
        with ``times`` stands for its ratio; one with ``same_as`` is part of the path it takes its
        value from. ``attrs`` holds ``trials``, their number, and ``warning``, a sentence where
        they are few or where nothing can be said, else None.
    """
    table = importance_table(run)
    shares = table.dropna(subset=["importance"]).set_index("parameter")["importance"]
    shares.attrs = dict(table.attrs)
    return shares


def importance_table(run: Recorded) -> pd.DataFrame:
    """:func:`importance` with what each share rests on.

    Returns:
        A row per parameter, the most important first; no row where nothing can be said:
        ``parameter``, ``importance`` (NaN where too few trials have a conditional parameter),
        ``trials`` (that it rests on), ``is_conditional``, ``note`` (text; empty: nothing to
        note). ``attrs`` as of :func:`importance`.
    """
    values = values_at_first_rung(run)
    space = search_space(run.study)
    own = [parameter for parameter in space.parameters if parameter.spec.domain]
    trials = _frozen(run, space, values)
    warning = _problem(len(own), [trial.value for trial in trials])
    rows = [] if warning else list(_rows(space, own, trials))
    table = pd.DataFrame(rows, columns=list(COLUMNS)).astype(
        {"parameter": "string", "importance": "float64", "trials": "int64", "note": "string"}
    )
    table["is_conditional"] = table["is_conditional"].astype("bool")
    table = table.sort_values(
        "importance", ascending=False, kind="stable", ignore_index=True, na_position="last"
    )
    rests_on = min(len(trials), MOST)
    table.attrs = {"trials": rests_on, "warning": warning or _few(rests_on)}
    return table


def _problem(parameters: int, values: Sequence[float | None]) -> str | None:
    """Why nothing can be said; None where something can."""
    if not parameters:
        return "nothing is searched"
    if len(values) < 2:
        there = "1 trial has" if values else "no trial has"
        return f"{there} a value at the first rung: nothing to compare"
    if len(set(values)) == 1:
        return f"the objective of all {len(values)} trials is the same at the first rung"
    return None


def _few(trials: int) -> str | None:
    return f"rests on {trials} trials: a hint, no more" if trials < FEW else None


def _frozen(run: Recorded, space: Space, values: "pd.Series[float]") -> "list[FrozenTrial]":
    """Trials as Optuna has them: drawn parameters, domains, the value at the first rung."""
    from optuna.trial import FixedTrial, create_trial

    parameters = searched_values(run)
    frozen = []
    for number, value in zip(values.index, values, strict=True):
        try:
            keys = as_keys(space, parameters[number])
        except UsageError:
            continue  # not of this space: the study file was edited
        fixed = FixedTrial(keys)
        propose(space, fixed)
        frozen.append(
            create_trial(params=fixed.params, distributions=fixed.distributions, value=value)
        )
    return frozen


def _rows(
    space: Space, own: Sequence[Parameter], trials: "Sequence[FrozenTrial]"
) -> Iterator[tuple[Any, ...]]:
    always = tuple(parameter.key for parameter in own if not parameter.spec.when)
    fits = {always: _fanova(_spread(trials), always)}
    for parameter in own:
        having, keys = trials, always
        if parameter.spec.when:
            having = [trial for trial in trials if parameter.key in trial.params]
            # Beside all that these trials have in common, so that it takes no other's share.
            common = [other.key for other in own if all(other.key in t.params for t in having)]
            keys = tuple(common)
        having = _spread(having)
        if keys not in fits:
            fits[keys] = _fanova(having, keys)
        yield _row(space, parameter, fits[keys].get(parameter.key), len(having))


def _spread(trials: "Sequence[FrozenTrial]") -> "Sequence[FrozenTrial]":
    """At most ``MOST`` of the trials."""
    if len(trials) <= MOST:
        return trials
    return [trials[index * len(trials) // MOST] for index in range(MOST)]


def _row(space: Space, parameter: Parameter, share: float | None, trials: int) -> tuple[Any, ...]:
    spec, path = parameter.spec, parameter.path
    same = [p.path for p in space.parameters if p.spec.same_as == path]
    notes = [
        f"as its ratio to {spec.times}" if spec.times else "",
        f"with {', '.join(same)}, which takes its value" if same else "",
        "nothing to compare: one trial, or all the same" if share is None else _few(trials) or "",
    ]
    note = "; ".join(note for note in notes if note)
    return path, share, trials, bool(spec.when), note


def _fanova(trials: "Sequence[FrozenTrial]", keys: Sequence[str]) -> Mapping[str, float]:
    """Normalised shares by the names that Optuna knows; none where nothing varies."""
    objectives = {trial.value for trial in trials}
    points = {tuple(trial.params[key] for key in keys) for trial in trials}
    if len(objectives) < 2 or len(points) < 2:
        return {}
    import optuna
    from optuna.importance import FanovaImportanceEvaluator, get_param_importances

    with _quiet():
        study = optuna.create_study()
        study.add_trials(trials)
    return get_param_importances(
        study, evaluator=FanovaImportanceEvaluator(seed=SEED), params=list(keys)
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Without Optuna's line on a study that lives for a moment."""
    from optuna import logging

    before = logging.get_verbosity()
    logging.set_verbosity(logging.WARNING)
    try:
        yield
    finally:
        logging.set_verbosity(before)
