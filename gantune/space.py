"""The search space: domains over dotted paths into a trial, and the relations between them.

:func:`propose` is the one place where a space is turned into suggestions. It talks to anything
that suggests like an Optuna trial does, so that Optuna, ``gantune check`` and the validity check
all walk the same code. It is a module-level function because Ray and Optuna pickle what they are
given, and a closure does not pickle.
"""

import itertools
import json
import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Protocol

from pydantic import Field, model_validator

from gantune.parts.base import Options

DOMAINS = ("uniform", "log_uniform", "int", "log_int", "choice")
RATIO = "@ratio"
MAX_PAIRS = 20_000

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
    """
    values: dict[str, Any] = {}
    searched = {parameter.path for parameter in space.parameters}
    # A condition on a path that is searched and inactive does not hold.
    known = {path: value for path, value in space.base.items() if path not in searched}
    for parameter in space.parameters:
        if not _is_active(parameter, known):
            continue
        spec = parameter.spec
        referred = {**space.base, **known}
        if spec.same_as:
            value = referred[spec.same_as]
        else:
            value = _suggest(parameter, source)
            value = value * referred[spec.times] if spec.times else value
        values[parameter.path] = known[parameter.path] = value
    return values


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


class RandomSource:
    """Suggests uniformly at random (log-uniformly where the domain is)."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None, log: bool
    ) -> float:
        if log:
            value = math.exp(self._rng.uniform(math.log(low), math.log(high)))
        elif step:
            value = low + step * self._rng.randint(0, round((high - low) / step))
        else:
            value = self._rng.uniform(low, high)
        return min(max(value, low), high)

    def suggest_int(self, name: str, low: int, high: int, *, step: int, log: bool) -> int:
        if log:
            drawn = math.exp(self._rng.uniform(math.log(low - 0.5), math.log(high + 0.5)))
            return min(max(round(drawn), low), high)
        return low + step * self._rng.randint(0, (high - low) // step)

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        return self._rng.choice(choices)


class FixedSource(RandomSource):
    """Suggests given values by key, and at random what is not given."""

    def __init__(self, fixed: Mapping[str, Any], rng: random.Random) -> None:
        super().__init__(rng)
        self._fixed = fixed

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None, log: bool
    ) -> float:
        drawn = super().suggest_float(name, low, high, step=step, log=log)
        return float(self._fixed.get(name, drawn))

    def suggest_int(self, name: str, low: int, high: int, *, step: int, log: bool) -> int:
        return int(self._fixed.get(name, super().suggest_int(name, low, high, step=step, log=log)))

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        drawn = super().suggest_categorical(name, choices)
        return encode(self._fixed[name]) if name in self._fixed else drawn


def _activating(parameter: Parameter, by_path: Mapping[str, Parameter]) -> dict[str, Any]:
    """Values under which a parameter exists, as far as choices can have them."""
    fixed: dict[str, Any] = {}
    for path, wanted in (parameter.spec.when or {}).items():
        parent = by_path.get(path)
        if parent is None:
            continue
        fixed |= _activating(parent, by_path)
        options = wanted if isinstance(wanted, list) else [wanted]
        possible = [value for value in options if value in parent.ends()]
        if parent.spec.domain == "choice" and possible:
            fixed[parent.key] = possible[0]
    return fixed


def probes(space: Space, draws: int = 1000) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields (what it is, configuration) for the corners and a sample of the joint space.

    Both ends of each domain, every choice, every pair of choices (a sample of 20,000 where there
    are more), and ``draws`` random draws.
    """
    rng = random.Random(0)
    by_path = {parameter.path: parameter for parameter in space.parameters}
    for parameter in space.parameters:
        active = _activating(parameter, by_path)
        factor_of = by_path.get(parameter.spec.times or "")
        corners = factor_of.ends() if factor_of else [None]
        for value, corner in itertools.product(parameter.ends(), corners):
            fixed = {**active, parameter.key: value}
            if factor_of:
                fixed |= {**_activating(factor_of, by_path), factor_of.key: corner}
            yield f"{parameter.key} = {value}", propose(space, FixedSource(fixed, rng))
    choices = [(p.key, v) for p in space.parameters if p.spec.domain == "choice" for v in p.ends()]
    pairs = list(itertools.combinations(choices, 2))
    if len(pairs) > MAX_PAIRS:
        pairs = rng.sample(pairs, MAX_PAIRS)
    for (key, value), (other, second) in pairs:
        if key != other:
            pair = FixedSource({key: value, other: second}, rng)
            yield f"{key} = {value} with {other} = {second}", propose(space, pair)
    for _ in range(draws):
        yield "a random draw", propose(space, RandomSource(rng))
