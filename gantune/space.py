"""The search space: domains over dotted paths into a trial, and the relations between them.

:func:`propose` is the one place where a space is turned into suggestions. It talks to anything
that suggests like an Optuna trial does, so that Optuna, ``gantune check`` and the validity check
all walk the same code. It is a module-level function because Ray and Optuna pickle what they are
given, and a closure does not pickle.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Protocol

from pydantic import Field, model_validator

from gantune.errors import UsageError
from gantune.parts.base import Options

DOMAINS = ("uniform", "log_uniform", "int", "log_int", "choice")
RATIO = "@ratio"

Number = int | float
Bounds = Annotated[tuple[Number, Number], Field(strict=False)]
IntBounds = Annotated[tuple[int, int], Field(strict=False)]


class ParameterSpec(Options):
    """One entry of ``search``: exactly one domain, or ``same_as``; any relations."""

    uniform: Bounds | None = None
    log_uniform: Bounds | None = None
    int: IntBounds | None = None
    log_int: IntBounds | None = None
    choice: list[Any] | None = None
    step: Number | None = Field(None, description="Grid within uniform or int bounds.")
    times: str | None = Field(None, description="The domain is a factor on this path's value.")
    same_as: str | None = Field(None, description="Takes this path's value.")
    when: dict[str, Any] | None = Field(None, description="Exists only under these values.")

    @model_validator(mode="after")
    def _is_one_domain(self) -> "ParameterSpec":
        given = [name for name in DOMAINS if getattr(self, name) is not None]
        if self.same_as is not None:
            if given or self.times or self.step is not None:
                raise ValueError("same_as takes another path's value; it goes with when only")
            return self
        if len(given) != 1:
            raise ValueError(f"needs exactly one of {', '.join(DOMAINS)} or same_as; has {given}")
        problem = _domain_problem(given[0], getattr(self, given[0]), self.step)
        if problem is None and self.times and given[0] == "choice":
            problem = "times multiplies a number; it does not go with choice"
        if problem:
            raise ValueError(problem)
        return self

    @property
    def domain(self) -> str | None:
        """The name of the domain; None for ``same_as``."""
        return next((name for name in DOMAINS if getattr(self, name) is not None), None)


def _domain_problem(kind: str, value: Any, step: Number | None) -> str | None:
    if kind == "choice":
        if not value:
            return "choice needs at least one value"
        keys = [encode(item) for item in value]
        if len(set(map(repr, keys))) < len(keys):
            return f"choice has a value twice: {value}"
        return None if step is None else "step does not go with choice"
    low, high = value
    if not low <= high:
        return f"{kind} needs low <= high, has [{low}, {high}]"
    if kind.startswith("log") and low <= 0:
        return f"{kind} needs low > 0, has [{low}, {high}]"
    if step is None:
        return None
    if kind.startswith("log"):
        return f"step does not go with {kind}"
    if step <= 0 or (kind == "int" and step != int(step)):
        return f"step must be a positive {'whole ' if kind == 'int' else ''}number, is {step}"
    if abs((high - low) / step - round((high - low) / step)) > 1e-9:
        return f"[{low}, {high}] is not a whole number of steps of {step}"
    return None


@dataclass(frozen=True)
class Parameter:
    """One searched path, as its specification says."""

    path: str
    spec: ParameterSpec

    @property
    def key(self) -> str:
        """The name under which Optuna knows it: with ``times`` it holds the ratio."""
        return self.path + RATIO if self.spec.times else self.path

    def references(self) -> Iterator[str]:
        """Yields every path whose value this parameter needs."""
        yield from (path for path in (self.spec.times, self.spec.same_as) if path)
        yield from self.spec.when or ()

    def ends(self) -> list[Any]:
        """Both ends of a range, or every choice; nothing for ``same_as``."""
        kind = self.spec.domain
        return list(getattr(self.spec, kind)) if kind else []


@dataclass(frozen=True)
class Space:
    """Parameters in an order in which each comes after those that it refers to."""

    parameters: tuple[Parameter, ...]
    base: Mapping[str, Any] = field(repr=False)  # the base trial's value of every path

    @property
    def conditional(self) -> bool:
        """Whether a parameter exists only under a condition."""
        return any(parameter.spec.when for parameter in self.parameters)


class ParentError(UsageError):
    """A parameter refers to one that does not exist beside the others."""

    def __init__(self, path: str, message: str) -> None:
        super().__init__(f"{path} {message}")
        self.path, self.message = path, message


class Suggests(Protocol):
    """What :func:`propose` needs: an ``optuna.Trial`` has it."""

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None, log: bool
    ) -> float: ...

    def suggest_int(self, name: str, low: int, high: int, *, step: int, log: bool) -> int: ...

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any: ...


def propose(space: Space, source: Suggests) -> dict[str, Any]:
    """Draws one configuration.

    Args:
        space: The search space.
        source: Where values come from: an ``optuna.Trial``, or one of the sources below.

    Returns:
        The effective value of each searched path that is active; a path whose ``when`` does not
        hold is absent and keeps the base trial's value.

    Raises:
        ParentError: A path takes its value from one that does not exist beside the others.
    """
    values: dict[str, Any] = {}
    searched = {parameter.path for parameter in space.parameters}
    # A condition on a path that is searched and inactive does not hold.
    known = {path: value for path, value in space.base.items() if path not in searched}
    for parameter in space.parameters:
        if not _is_active(parameter, known):
            continue
        spec = parameter.spec
        if spec.same_as:
            value = _parent(space, known, parameter.path, spec.same_as)
        else:
            value = _suggest(parameter, source)
            if spec.times:
                value *= _parent(space, known, parameter.path, spec.times)
        values[parameter.path] = known[parameter.path] = value
    return values


def _parent(space: Space, known: Mapping[str, Any], path: str, parent: str) -> Any:
    referred = {**space.base, **known}
    if parent in referred:
        return referred[parent]
    conditions = {p.path: p.spec.when for p in space.parameters}
    when = f" (it does when {conditions[parent]})" if conditions.get(parent) else ""
    raise ParentError(
        path,
        f"refers to {parent}, which not every configuration has{when}: give it the same `when`",
    )


def _is_active(parameter: Parameter, known: Mapping[str, Any]) -> bool:
    for path, wanted in (parameter.spec.when or {}).items():
        if path not in known:
            return False
        if known[path] not in (wanted if isinstance(wanted, list) else [wanted]):
            return False
    return True


def _suggest(parameter: Parameter, source: Suggests) -> Any:
    spec, kind, key = parameter.spec, parameter.spec.domain, parameter.key
    if kind == "choice":
        return decode(source.suggest_categorical(key, [encode(item) for item in parameter.ends()]))
    low, high = parameter.ends()
    if kind in ("int", "log_int"):
        return source.suggest_int(key, low, high, step=int(spec.step or 1), log=kind == "log_int")
    step = None if spec.step is None else float(spec.step)
    return source.suggest_float(key, low, high, step=step, log=kind == "log_uniform")


_AS_TEXT = "json:"


def encode(choice: Any) -> Any:
    """Lists and mappings go to Optuna as text: its choices must be scalars."""
    return _AS_TEXT + json.dumps(choice) if isinstance(choice, (list, dict, tuple)) else choice


def decode(choice: Any) -> Any:
    """The value that :func:`encode` made a text of."""
    if isinstance(choice, str) and choice.startswith(_AS_TEXT):
        return json.loads(choice[len(_AS_TEXT) :])
    return choice
