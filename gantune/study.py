"""The study file: what is trained, searched, optimised, and with how much."""

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, Tag, ValidationError
from pydantic_core import ErrorDetails

from gantune.config import Options, TrialConfig, by_name, sections_at
from gantune.document import Document, Location, Value, parse_scalar, read_document
from gantune.errors import ConfigError, Problem
from gantune.space import ParameterSpec

NAME_PATTERN = r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}"

Goal = Literal["minimize", "maximize"]

OBJECTIVES: dict[str, Goal] = {
    "frechet_distance": "minimize",
    "classifier_score": "maximize",
    "modes": "maximize",
    "mode_kl": "minimize",
    "mode_entropy": "maximize",
    "high_quality": "maximize",
}
"""Every metric that can be optimised, and which way it is better."""

ONLY_FOR = {"high_quality": ("ring", "grid"), "classifier_score": ("digits",)}
"""Metrics that exist for some data sets only."""


class Objective(Options):
    """What a trial is judged by: the best value of a metric over its epochs."""

    metric: str = "frechet_distance"
    goal: Goal | None = Field(None, description="null: the way in which the metric is better.")

    @property
    def sign(self) -> int:
        """1 where lower is better, -1 where higher is."""
        return 1 if self.direction == "minimize" else -1

    @property
    def direction(self) -> Goal:
        """Which way is better."""
        return self.goal or OBJECTIVES[self.metric]


class Tpe(Options):
    """Optuna's multivariate tree-structured Parzen estimator with constant liar."""

    name: Literal["tpe"] = "tpe"
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    startup_trials: Annotated[int, Field(ge=1, le=100_000)] = Field(
        10, description="Random trials before the model is used."
    )


class Asha(Options):
    """Asynchronous successive halving (Li et al., arXiv 1810.05934), the stopping variant."""

    name: Literal["asha"] = "asha"
    grace_epochs: Annotated[int, Field(ge=1, le=1_000_000)] = 5
    reduction_factor: Annotated[int, Field(ge=2, le=100)] = 3


class NoScheduler(Options):
    """Every trial runs to its end."""

    name: Literal["none"] = "none"


class Budget(Options):
    """How much the search may use."""

    trials: Annotated[int, Field(ge=1, le=1_000_000)] = 20


class Resources(Options):
    """What one trial holds."""

    cpu: Annotated[int, Field(ge=1, le=10_000)] = 1
    gpu: Annotated[float, Field(ge=0, le=64)] = Field(0, description="A fraction shares a GPU.")


Scheduler = Annotated[
    Annotated[Asha, Tag("asha")] | Annotated[NoScheduler, Tag("none")], by_name("asha")
]


class Study(Options):
    """A whole study file. Make one with :func:`load_study`, which checks it as a whole."""

    name: Annotated[str, Field(pattern=f"^{NAME_PATTERN}$")]
    description: Annotated[str, Field(max_length=10_000)] = ""
    trial: TrialConfig = TrialConfig()
    search: dict[str, ParameterSpec] = Field(default_factory=dict)
    objective: Objective = Objective()
    sampler: Tpe = Tpe()
    scheduler: Scheduler = Asha()
    budget: Budget = Budget()
    resources: Resources = Resources()
    max_failures: Annotated[int, Field(ge=0, le=1000)] = Field(
        1, description="How often a trial is taken up again after its worker failed."
    )

    @property
    def max_epochs(self) -> int:
        """The largest number of epochs that a trial of this study can have."""
        spec = self.search.get("train.epochs")
        ends = getattr(spec, spec.domain) if spec and spec.domain else [self.trial.train.epochs]
        return int(max(ends))

    @property
    def rungs(self) -> tuple[int, ...]:
        """The epochs at which the scheduler decides: grace * factor^k below the last epoch."""
        if isinstance(self.scheduler, NoScheduler):
            return ()
        levels, level = [], self.scheduler.grace_epochs
        while level < self.max_epochs:
            levels.append(level)
            level *= self.scheduler.reduction_factor
        return tuple(levels)


def load_study(path: str | Path, overrides: Sequence[str] = ()) -> Study:
    """Reads and checks a study file.

    Args:
        path: The YAML file.
        overrides: ``PATH=VALUE`` texts, applied before anything is checked. A path is taken
            relative to ``trial`` unless it starts with another section of the study file; a path
            that is also searched is then fixed.

    Raises:
        ConfigError: The study is not valid; carries every problem with line, path and rule.
        UsageError: The file cannot be read.
    """
    return study_from_document(read_document(Path(path)), overrides)


def study_from_document(document: Document, overrides: Sequence[str] = ()) -> Study:
    """Checks a parsed study file; see :func:`load_study`."""
    from gantune.checks import check_study  # the checks need Study

    document = _with_overrides(document, overrides)
    problems: list[Problem] = []
    study = None
    try:
        study = Study.model_validate(document.value)
    except ValidationError as error:
        problems = [_as_problem(details, document) for details in error.errors()]
    problems += check_study(document, study)
    if problems:
        unique = {(p.path, p.message): p for p in problems}
        raise ConfigError(document.source, sorted(unique.values(), key=_by_line))
    assert study is not None
    return study


def with_values(base: TrialConfig, values: Mapping[str, Any]) -> TrialConfig:
    """The trial that differs from ``base`` in the values of some dotted paths.

    Where the ``name`` of a part changes, the base's options that the new part does not have are
    left behind.

    Raises:
        ValidationError: The result is not a valid trial.
    """
    tree: dict[str, Any] = base.model_dump()
    for path in sorted(values, key=lambda path: not path.endswith(".name")):
        *parents, last = path.split(".")
        node = tree
        for word in parents:
            node = node.setdefault(word, {})
        if last == "name" and node.get("name") != values[path]:
            _keep_known(node, ".".join(parents), values[path])
        node[last] = values[path]
    return TrialConfig.model_validate(tree)


def _keep_known(node: dict[str, Any], section: str, name: Any) -> None:
    parts = sections_at(section)
    known = next((p.model_fields for p in parts if p.model_fields["name"].default == name), {})
    for key in set(node) - set(known):
        del node[key]


def _with_overrides(document: Document, overrides: Sequence[str]) -> Document:
    if not overrides or not isinstance(document.value, dict):
        return document
    tree, lines = dict(document.value), dict(document.lines)
    problems = []
    for text in overrides:
        path, equals, value = text.partition("=")
        words = path.strip().split(".")
        if not equals or not all(words):
            problems.append(Problem("--set", text, "write it as PATH=VALUE"))
            continue
        if words[0] not in Study.model_fields:
            words.insert(0, "trial")
        try:
            tree = _set_in(tree, words, parse_scalar(value))
        except ConfigError as error:
            problems += [Problem("--set", path, str(p.message)) for p in error.problems]
        search = tree.get("search")
        if words[0] == "trial" and isinstance(search, dict):
            fixed = ".".join(words[1:])
            tree["search"] = {key: spec for key, spec in search.items() if key != fixed}
        lines.update({tuple(words[:end]): 0 for end in range(len(words), len(words) + 1)})
    if problems:
        raise ConfigError(document.source, problems)
    return Document(document.source, tree, lines)


def _set_in(node: Value, words: Sequence[str], value: Value) -> dict[str, Value]:
    copy = dict(node) if isinstance(node, dict) else {}
    first, rest = words[0], words[1:]
    copy[first] = _set_in(copy.get(first), rest, value) if rest else value
    return copy


def _by_line(problem: Problem) -> tuple[int, str]:
    number = problem.where.removeprefix("line ")
    return (int(number) if number.isdigit() else 0, problem.path)


def _as_problem(details: ErrorDetails, document: Document) -> Problem:
    location = _without_tags(details["loc"], document.value)
    path = ".".join(map(str, location))
    return Problem(document.where(location), path, _message(details, location))


def _without_tags(location: tuple[int | str, ...], value: Any) -> Location:
    """Drops what pydantic adds to a location for the chosen part of a union."""
    kept: list[str | int] = []
    for position, word in enumerate(location):
        is_last = position == len(location) - 1
        if isinstance(value, dict):
            if word in value:
                value = value[word]
            elif not is_last and isinstance(word, str):
                continue
        elif isinstance(value, list) and isinstance(word, int) and word < len(value):
            value = value[word]
        elif not isinstance(word, int):
            continue
        kept.append(word)
    return tuple(kept)


def _message(details: ErrorDetails, location: Location) -> str:
    kind, value = details["type"], details.get("input")
    if kind == "extra_forbidden":
        return f"unknown key{_nearest(location)}"
    if kind == "union_tag_invalid":
        context = details.get("ctx", {})
        tag, expected = context.get("tag"), context.get("expected_tags")
        return f"unknown name {tag}; known names: {expected}".replace("''", "'")
    if kind == "value_error":
        return details["msg"].removeprefix("Value error, ")
    shown = repr(value)
    return f"{details['msg']}, has {shown if len(shown) < 80 else shown[:77] + '...'}"


def _nearest(location: Location) -> str:
    words = [str(word) for word in location]
    if words[0] == "trial":
        parts = sections_at(".".join(words[1:-1]))
    elif words[0] == "search" and len(words) > 2:
        parts = [ParameterSpec]
    else:
        parts = sections_at(".".join(words[:-1]), Study)
    known = sorted({field for part in parts for field in part.model_fields})
    match = difflib.get_close_matches(words[-1], known, n=1, cutoff=0.5)
    return f"; did you mean {match[0]!r}?" if match else f"; known keys: {', '.join(known)}"


def schema() -> dict[str, Any]:
    """The JSON Schema of a study file, for editors."""
    return Study.model_json_schema()
