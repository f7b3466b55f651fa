"""Configurations that a search tries before its sampler draws any: the base trial, ``start``."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gantune.errors import UsageError
from gantune.space import RATIO, Parameter, Space, encode, propose
from gantune.strategy import GridSearch
from gantune.study import Study

BASE: Mapping[str, Any] = {}
"""The base trial: no value other than its own."""

ROUNDING = 1e-9


def start_keys(study: Study, space: Space) -> list[dict[str, Any]]:
    """The configurations that a study tries first, by the names that Optuna knows.

    The base trial comes first, unless ``start`` is empty, it lies outside the space, or the
    search is a grid, which has its own order.

    Raises:
        UsageError: A configuration of ``start`` is not in the space.
    """
    if isinstance(study.sampler, GridSearch):
        return []
    given = [as_keys(space, flat(entry, study.search)) for entry in study.start or ()]
    if study.start == () or base_problem(space):
        return given
    base = as_keys(space, BASE)
    return [base, *(keys for keys in given if keys != base)]


def base_problem(space: Space) -> str | None:
    """Why the base trial cannot be among a search's trials; None where it can."""
    try:
        as_keys(space, BASE)
    except UsageError as error:
        return str(error)
    return None


def flat(entry: Mapping[str, Any], searched: Mapping[str, Any]) -> dict[str, Any]:
    """Values by dotted path of an entry that is nested, dotted or both.

    Raises:
        UsageError: A path is not searched.
    """
    return dict(_leaves(entry, searched, ()))


def _leaves(
    node: Mapping[str, Any], searched: Mapping[str, Any], above: tuple[str, ...]
) -> Iterator[tuple[str, Any]]:
    for key, value in node.items():
        words = (*above, key)
        path = ".".join(words)
        if path in searched:
            yield path, value
        elif isinstance(value, Mapping):
            yield from _leaves(value, searched, words)
        else:
            raise UsageError(f"{path} is not searched; its value is the trial's")


def as_keys(space: Space, values: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration by the names that Optuna knows, ratios in place of products.

    Args:
        space: The search space.
        values: By path; what is missing has the base trial's value.

    Raises:
        UsageError: A value is not in its domain, or does not exist under the others.
    """
    source = Given(space, values)
    effective = propose(space, source)
    for path, value in values.items():
        if path not in effective:
            raise UsageError(f"{path} does not exist beside the other values")
        if not same(effective[path], value):
            raise UsageError(f"{path} is {effective[path]} beside the other values, not {value}")
    return source.drawn


def same(one: Any, other: Any) -> bool:
    """Whether two values of a path are equal, but for the rounding of a product."""
    if isinstance(one, float) and isinstance(other, int | float):
        return abs(one - other) <= ROUNDING * max(abs(one), abs(other))
    return bool(one == other)


class Given:
    """Suggests the values of one configuration.

    Attributes:
        drawn: What was suggested so far, by the names that Optuna knows.
    """

    def __init__(self, space: Space, values: Mapping[str, Any]) -> None:
        everything = {**space.base, **values}
        self._wanted = {p.key: _wanted(p, everything) for p in space.parameters}
        self.drawn: dict[str, Any] = {}

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None, log: bool
    ) -> float:
        value = self._number(name, low, high)
        if step and abs((value - low) / step - round((value - low) / step)) > ROUNDING:
            raise UsageError(f"{_path(name)} = {value} is no step of {step} from {low}")
        # A ratio of two rounded numbers may lie a digit outside.
        self.drawn[name] = value = float(min(max(value, low), high))
        return value

    def suggest_int(self, name: str, low: int, high: int, *, step: int, log: bool) -> int:
        value = self._number(name, low, high)
        if value != round(value) or (round(value) - low) % step:
            raise UsageError(f"{_path(name)} = {value} is no step of {step} from {low}")
        self.drawn[name] = whole = round(value)
        return whole

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        value = encode(self._wanted[name])
        # 1, 1.0 and True are equal, and three choices.
        found = [
            c for c in choices if c == value and isinstance(c, bool) == isinstance(value, bool)
        ]
        if not found:
            raise UsageError(f"{_path(name)} = {self._wanted[name]} is none of its choices")
        self.drawn[name] = found[0]
        return found[0]

    def _number(self, name: str, low: float, high: float) -> float:
        value = self._wanted[name]
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise UsageError(f"{_path(name)} = {value} is no number")
        if not low - ROUNDING * abs(low) <= value <= high + ROUNDING * abs(high):
            raise UsageError(f"{_path(name)} = {value} is not in [{low}, {high}]")
        return value


def _wanted(parameter: Parameter, everything: Mapping[str, Any]) -> Any:
    value = everything.get(parameter.path)
    if parameter.spec.times is None or not isinstance(value, int | float):
        return value
    factor = everything.get(parameter.spec.times)
    if not isinstance(factor, int | float) or not factor:
        raise UsageError(f"{parameter.path} is a multiple of {parameter.spec.times} = {factor}")
    ratio = value / factor
    is_whole = parameter.spec.domain in ("int", "log_int")
    return round(ratio) if same(float(round(ratio)), ratio) and is_whole else ratio


def _path(name: str) -> str:
    return f"the ratio of {name.removesuffix(RATIO)}" if name.endswith(RATIO) else name
