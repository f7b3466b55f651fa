"""Ways through a search space: at random, its corners, all of it."""

import itertools
import math
import random
from collections.abc import Container, Iterator, Mapping, Sequence
from typing import Any

from gantune.errors import UsageError
from gantune.space import RATIO, Parameter, Space, encode, propose

MAX_PAIRS = 20_000
MAX_GRID = 10_000


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


class Odometer:
    """Suggests the next combination of finite domains each time it is rewound.

    It walks :func:`propose` itself, so that a grid knows of conditions what trials do.

    Attributes:
        goes_on: Whether there is another combination.
        others: Combinations of the parameters that do not turn, in this one.
    """

    def __init__(self, turning: Container[str] | None = None) -> None:
        """Makes one in which all parameters turn, or only those of some keys."""
        self.goes_on, self.others = True, 1
        self._turning = turning
        self._digits: list[int] = []
        self._sizes: list[int] = []
        self._drawn: dict[str, Any] = {}

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None, log: bool
    ) -> float:
        if low < high and step is None:
            named = name.removesuffix(RATIO)
            instead = "choices" if log else "a step or choices"
            raise UsageError(f"a grid needs {instead}: {named} is a range")
        count = 1 + round((high - low) / step) if step else 1
        index = self._turn(name, count)
        self._drawn[name] = value = low + (step or 0.0) * index
        return value

    def suggest_int(self, name: str, low: int, high: int, *, step: int, log: bool) -> int:
        self._drawn[name] = value = low + step * self._turn(name, 1 + (high - low) // step)
        return value

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        self._drawn[name] = value = choices[self._turn(name, len(choices))]
        return value

    def rewind(self) -> dict[str, Any]:
        """Goes to the next combination; returns the one that was drawn."""
        while self._sizes and self._digits[-1] + 1 == self._sizes[-1]:
            self._digits.pop()
            self._sizes.pop()
        self.goes_on = bool(self._digits)
        if self.goes_on:
            self._digits[-1] += 1
        drawn, self._sizes, self._drawn, self.others = self._drawn, [], {}, 1
        return drawn

    def _turn(self, name: str, size: int) -> int:
        if self._turning is not None and name not in self._turning:
            self.others *= size
            return 0
        position = len(self._sizes)
        if position == len(self._digits):
            self._digits.append(0)
        self._sizes.append(size)
        return self._digits[position]


def grid(space: Space) -> list[dict[str, Any]]:
    """Every combination of a finite space, by the names that Optuna knows.

    Raises:
        UsageError: A parameter is a range of floats, or there are more than 10,000 combinations.
    """
    count, is_all = _count(space)
    if count > MAX_GRID or not is_all:
        more = "" if is_all else "more than "
        raise UsageError(
            f"the grid has {more}{count:,} combinations; {MAX_GRID:,} are the most: fewer choices, "
            "larger steps, or sampler: {name: random}"
        )
    odometer, found = Odometer(), []
    while odometer.goes_on:
        propose(space, odometer)
        found.append(odometer.rewind())
    return found


def _count(space: Space) -> tuple[int, bool]:
    """Combinations, and whether these are all: walks what others depend on, multiplies the rest."""
    parents = {path for parameter in space.parameters for path in parameter.spec.when or ()}
    odometer = Odometer({p.key for p in space.parameters if p.path in parents})
    count = walked = 0
    while odometer.goes_on and walked < MAX_GRID:
        propose(space, odometer)
        count, walked = count + odometer.others, walked + 1
        odometer.rewind()
    return count, not odometer.goes_on


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
