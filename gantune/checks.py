"""What makes a study valid beyond the types of its fields: its space as a whole, its objective."""

import difflib
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from gantune.config import all_paths, leaves
from gantune.document import Document, Location, Value
from gantune.errors import Problem, UsageError
from gantune.goals import OBJECTIVES, parse_constraint
from gantune.legality import check_trial
from gantune.objectives import metrics_of, objective_problems, what_lacks
from gantune.parts.foreign import EXTRA_METRICS
from gantune.space import Parameter, ParameterSpec, ParentError, Space
from gantune.starts import as_keys, flat
from gantune.strategy import GridSearch, Halving
from gantune.study import Study, with_values
from gantune.walks import grid, probes

MAX_EXAMPLES = 3

# Metrics of a histogram over modes or classes.


def check_study(document: Document, study: Study | None) -> list[Problem]:
    """Lists what is wrong with a study as a whole.

    Args:
        document: The file, for line numbers, and for the checks that need no valid study.
        study: The study where its fields are valid on their own; None where they are not.
    """
    problems = [*_check_paths(document), *_check_metric(document), *_check_cycle(document)]
    if study is None or problems:
        return problems
    problems += _check_objective(document, study)
    problems += _check_epochs(document, study)
    for path, message in check_trial(study.trial):
        where = document.where(("trial", *path.split(".")))
        problems.append(Problem(where, f"trial.{path}", message))
    problems += _check_grid(document, study)
    problems += _check_start(document, study)
    try:
        return problems or list(_check_draws(document, study))
    except ParentError as error:
        where = document.where(("search", error.path))
        return [Problem(where, f"search.{error.path}", error.message)]


def search_space(study: Study) -> Space:
    """The study's space, each parameter after those that it refers to."""
    ordered: list[str] = []
    waiting = dict(study.search)
    while waiting:
        ready = [p for p, spec in waiting.items() if not _references(p, spec) & set(waiting)]
        assert ready, "a checked study has no cycle"
        ordered += ready
        waiting = {path: spec for path, spec in waiting.items() if path not in ready}
    base = {path: value for path, value, _ in leaves(study.trial)}
    return Space(tuple(Parameter(path, study.search[path]) for path in ordered), base)


def within_grid(study: Study) -> Study:
    """The study with no more trials than its grid has combinations."""
    if not isinstance(study.sampler, GridSearch):
        return study
    trials = min(study.budget.trials, len(grid(search_space(study))))
    budget = study.budget.model_copy(update={"trials": trials})
    return study.model_copy(update={"budget": budget})


def _references(path: str, spec: ParameterSpec) -> set[str]:
    return set(Parameter(path, spec).references())


def _check_paths(document: Document) -> Iterator[Problem]:
    tree = document.value
    search = tree.get("search") if isinstance(tree, dict) else None
    if not isinstance(search, dict):
        return
    known = sorted(set(all_paths()))
    for path, spec in search.items():
        where = document.where(("search", path))
        if path not in known:
            yield Problem(where, f"search.{path}", f"no such field in a trial{_near(path, known)}")
        if not isinstance(spec, dict):
            continue
        when = spec.get("when")
        named = [spec.get("times"), spec.get("same_as"), *(when if isinstance(when, dict) else ())]
        for other in named:
            if isinstance(other, str) and other not in known:
                message = f"refers to {other}, which is no field of a trial{_near(other, known)}"
                yield Problem(where, f"search.{path}", message)


def _near(path: str, known: list[str]) -> str:
    match = difflib.get_close_matches(path, known, n=1, cutoff=0.5)
    return f"; did you mean {match[0]}?" if match else ""


def _check_metric(document: Document) -> Iterator[Problem]:
    tree = document.value
    if not isinstance(tree, dict):
        return
    known = [*OBJECTIVES, *EXTRA_METRICS]
    for location, metric in [*_aims(tree.get("objective")), *_bounded(tree.get("constraints"))]:
        if metric not in known:
            near = _near(metric, known) or f"; known: {', '.join(known)}"
            path = ".".join(map(str, location))
            yield Problem(document.where(location), path, f"unknown metric {metric!r}{near}")


def _aims(objective: Value) -> Iterator[tuple[Location, str]]:
    """The metrics of one objective, or of a list of them."""
    several = isinstance(objective, list)
    for index, one in enumerate(objective if isinstance(objective, list) else [objective]):
        metric = one.get("metric") if isinstance(one, dict) else None
        if isinstance(metric, str):
            yield ("objective", *([index] if several else []), "metric"), metric


def _bounded(constraints: Value) -> Iterator[tuple[Location, str]]:
    """The metrics of those constraints that can be read."""
    for index, text in enumerate(constraints if isinstance(constraints, list) else ()):
        try:
            yield ("constraints", index), parse_constraint(str(text)).metric
        except ValueError:
            continue  # the field's own rule says what is wrong with it


def _check_epochs(document: Document, study: Study) -> Iterator[Problem]:
    spec = study.search.get("train.epochs")
    if spec and (spec.times or spec.same_as):
        message = "must stand on its own: the rungs follow from its largest value"
        yield Problem(document.where(("search", "train.epochs")), "search.train.epochs", message)
    counts_images = isinstance(study.scheduler, Halving) and study.scheduler.unit == "images"
    if spec and counts_images:
        message = "rungs in images make trials equally long: search no train.epochs beside them"
        yield Problem(document.where(("search", "train.epochs")), "search.train.epochs", message)
    if study.budget.gpu_hours and not study.resources.gpu:
        where = document.where(("budget", "gpu_hours"))
        yield Problem(where, "budget.gpu_hours", "trials hold no GPU: resources.gpu is 0")


def _check_objective(document: Document, study: Study) -> Iterator[Problem]:
    where = document.where(("objective", "metric"))
    for message in objective_problems(study):
        yield Problem(where, "objective.metric", message)
    if study.confirm and "seed" in study.search:
        where = document.where(("confirm",))
        yield Problem(where, "confirm", "trials are confirmed with fresh seeds: search no seed")


def _check_grid(document: Document, study: Study) -> Iterator[Problem]:
    if isinstance(study.sampler, GridSearch):
        try:
            grid(search_space(study))
        except UsageError as error:
            yield Problem(document.where(("sampler", "name")), "sampler.name", str(error))


def _check_start(document: Document, study: Study) -> Iterator[Problem]:
    where = document.where(("start",))
    if study.start and isinstance(study.sampler, GridSearch):
        yield Problem(where, "start", "a grid has every combination, in its own order")
    space = search_space(study)
    for index, entry in enumerate(study.start or ()):
        try:
            values = flat(entry, study.search)
            as_keys(space, values)
            trial = with_values(study.trial, values)
        except UsageError as error:
            yield Problem(where, f"start[{index}]", str(error))
        except ValidationError as error:
            yield Problem(where, f"start[{index}]", error.errors()[0]["msg"])
        else:
            for path, message in check_trial(trial):
                yield Problem(where, f"start[{index}].{path}", message)


def _check_cycle(document: Document) -> Iterator[Problem]:
    cycle = _find_cycle(_valid_specs(document))
    if cycle:
        message = f"these wait for each other: {' -> '.join(cycle)}"
        where = document.where(("search", cycle[0]))
        yield Problem(where, f"search.{cycle[0]}", message)


def _valid_specs(document: Document) -> dict[str, ParameterSpec]:
    """The entries of ``search`` that are valid on their own, also where others are not."""
    tree = document.value
    search = tree.get("search") if isinstance(tree, dict) else None
    specs: dict[str, ParameterSpec] = {}
    for path, spec in search.items() if isinstance(search, dict) else ():
        try:
            specs[path] = ParameterSpec.model_validate(spec)
        except ValidationError:
            continue
    return specs


def _find_cycle(search: Mapping[str, ParameterSpec]) -> list[str] | None:
    def visit(path: str, trail: list[str]) -> list[str] | None:
        if path in trail:
            return [*trail[trail.index(path) :], path]
        if path in done or path not in search:
            return None
        for other in sorted(_references(path, search[path])):
            found = visit(other, [*trail, path])
            if found:
                return found
        done.add(path)
        return None

    done: set[str] = set()
    return next((cycle for path in search if (cycle := visit(path, []))), None)


def _check_draws(document: Document, study: Study) -> Iterator[Problem]:
    seen: dict[str, int] = {}
    existing: set[str] = set()
    for what, values in probes(search_space(study)):
        existing |= set(values)
        try:
            trial = with_values(study.trial, values)
        except ValidationError as error:
            for details in error.errors():
                path = _blame(".".join(map(str, details["loc"])), values)
                shown = values.get(path, details.get("input"))
                message = f"{what} makes no valid trial: {details['msg']}, has {shown!r}"
                yield from _once(seen, document, path, message)
        else:
            for path, message in check_trial(trial):
                yield from _once(seen, document, path, f"{what}: {message}")
            for lacking in filter(
                None, (what_lacks(metric, trial) for metric in metrics_of(study))
            ):
                where = document.where(("objective", "metric"))
                yield Problem(where, "objective.metric", lacking)
    for path in sorted(set(study.search) - existing):
        message = f"it never exists: no configuration meets {study.search[path].when}"
        yield Problem(document.where(("search", path)), f"search.{path}", message)


def _once(seen: dict[str, int], document: Document, path: str, message: str) -> Iterator[Problem]:
    seen[path] = seen.get(path, 0) + 1
    if seen[path] <= MAX_EXAMPLES and not ("random draw" in message and seen[path] > 1):
        section = "search" if ("search", path) in document.lines else "trial"
        location = ("search", path) if section == "search" else ("trial", *path.split("."))
        yield Problem(document.where(location), f"{section}.{path}", message)


def _blame(location: str, values: Mapping[str, Any]) -> str:
    """The searched path nearest to where pydantic saw the error (locations hold part names)."""
    words = location.split(".")
    return max(values, key=lambda path: _common(path.split("."), words), default=location)


def _common(path: list[str], words: list[str]) -> int:
    return sum(word in words for word in path) - (path[-1] != words[-1])
