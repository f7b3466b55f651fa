"""What a trial is judged by: objectives, and constraints that the best has to meet."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import (
    AfterValidator,
    Field,
    GetJsonSchemaHandler,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from gantune.parts.base import Options
from gantune.parts.foreign import EXTRA_METRICS

Goal = Literal["minimize", "maximize"]

OBJECTIVES: dict[str, Goal] = {
    "frechet_distance": "minimize",
    "kernel_distance": "minimize",
    "classifier_score": "maximize",
    "precision": "maximize",
    "recall": "maximize",
    "density": "maximize",
    "coverage": "maximize",
    "vendi": "maximize",
    "pair_distance_ratio": "maximize",
    "modes": "maximize",
    "mode_kl": "minimize",
    "mode_jsd": "minimize",
    "mode_entropy": "maximize",
    "high_quality": "maximize",
    "nearest_neighbor_ratio": "maximize",
}
"""Every metric that can be optimised, and which way it is better; which data have it: checks."""

Row = Mapping[str, Any]
"""A record of the ``epochs`` table."""


class Aim(Options):
    """A metric, and which way it is better."""

    metric: str = "frechet_distance"
    goal: Goal | None = Field(None, description="null: the way in which the metric is better.")

    @property
    def sign(self) -> int:
        """1 where lower is better, -1 where higher is."""
        return 1 if self.direction == "minimize" else -1

    @property
    def direction(self) -> Goal:
        """Which way is better."""
        if self.goal is None and self.metric in EXTRA_METRICS:
            return EXTRA_METRICS[self.metric].goal
        return self.goal or OBJECTIVES[self.metric]


class Objective(Aim):
    """What a trial is judged by: the best value of a metric over its epochs.

    In a study file one mapping, or a list of two: scheduler, best epoch and best trial go by the
    first; the second is weighed against it, at the same epoch.
    """

    second: Aim | None = Field(None, description="Of a list of two: the second one.")

    @model_validator(mode="before")
    @classmethod
    def _from_list(cls, value: Any) -> Any:
        if not isinstance(value, list | tuple):
            return value
        if len(value) not in (1, 2) or not all(isinstance(one, dict) for one in value):
            raise ValueError("write {metric: ...}, or a list of two such")
        first, *rest = value
        return {**first, "second": rest[0]} if rest else first

    @model_validator(mode="after")
    def _are_two(self) -> "Objective":
        if self.second and self.second.metric == self.metric:
            raise ValueError(f"two objectives are two metrics, and both are {self.metric}")
        return self

    @model_serializer(mode="wrap")
    def _as_list(self, handler: SerializerFunctionWrapHandler) -> Any:
        tree = handler(self)
        second = tree.pop("second", None)
        return [tree, second] if second else tree

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        one = handler(core_schema)
        return {"anyOf": [one, {"type": "array", "items": one, "minItems": 1, "maxItems": 2}]}

    @property
    def both(self) -> tuple[Aim, ...]:
        """It, and the second one if there is one."""
        return (self, self.second) if self.second else (self,)


_CONSTRAINT = re.compile(
    r"\s*([A-Za-z_]\w*)\s*(<=|>=)\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*"
)


class Constraint(NamedTuple):
    """A bound on a metric at a trial's best epoch.

    Attributes:
        metric: The metric.
        sign: 1 where the bound is the highest value that meets it, -1 where the lowest.
        bound: The bound.
    """

    metric: str
    sign: int
    bound: float

    def violation(self, record: Row) -> float:
        """By how much a record misses the bound, at most 0 where it meets it; inf without value."""
        value = metric_of(record, self.metric)
        return float("inf") if value is None else self.sign * (value - self.bound)

    def __str__(self) -> str:
        return f"{self.metric} {'<=' if self.sign > 0 else '>='} {self.bound:g}"


def parse_constraint(text: str) -> Constraint:
    """Reads ``coverage >= 0.5``.

    Raises:
        ValueError: It is written otherwise.
    """
    match = _CONSTRAINT.fullmatch(text)
    if not match:
        raise ValueError(f"write a constraint like 'coverage >= 0.5', not {text!r}")
    metric, comparison, bound = match.groups()
    return Constraint(metric, 1 if comparison == "<=" else -1, float(bound))


def _checked(text: str) -> str:
    return str(parse_constraint(text))


ConstraintText = Annotated[str, AfterValidator(_checked)]


def metric_of(record: Row, metric: str) -> float | None:
    """A metric of a record, built in or an extension's; None where it has no value."""
    if metric in record:
        value: float | None = record[metric]
        # NaN is a frame's way to say that there is none.
        return None if value is None or value != value else value
    extra: dict[str, float] = json.loads(record.get("extra_metrics") or "{}")
    return extra.get(metric)


class Standing(NamedTuple):
    """A record's place, the smaller the better: what meets the constraints is before what does not.

    Attributes:
        misses: Whether it misses a constraint.
        value: The objective, its sign turned where higher is better; inf without one.
    """

    misses: bool
    value: float


def front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Which points no other dominates, in order of their first coordinate; smaller is better.

    One dominates another where it is no worse in both and better in one: of equal points all stay.
    """
    order = sorted(range(len(points)), key=lambda index: points[index])
    kept: list[int] = []
    for index in order:
        if not kept or points[index][1] < points[kept[-1]][1] or points[index] == points[kept[-1]]:
            kept.append(index)
    return kept


class Ranking(NamedTuple):
    """Which of two epochs, or of two trials, is the better one.

    Attributes:
        sign: 1 where a lower objective is better, -1 where a higher one is.
        constraints: What the best has to meet.
    """

    sign: int
    constraints: tuple[Constraint, ...] = ()

    def is_feasible(self, record: Row) -> bool:
        """Whether a record meets every constraint."""
        return all(constraint.violation(record) <= 0 for constraint in self.constraints)

    def standing(self, record: Row) -> Standing:
        """A record's place by its own objective."""
        value = record["objective"]
        own = float("inf") if value is None else self.sign * value
        return Standing(not self.is_feasible(record), own)

    def of_trial(self, row: Row) -> Standing:
        """A trial's place by its last row; one without a value comes last."""
        value = row["objective"]
        return Standing(
            row["feasible"] == "no", float("inf") if value is None else self.sign * value
        )

    def best(self, records: Iterable[Row]) -> Row | None:
        """The best of a trial's records, the first of equals; None where none has a value."""
        scored = [record for record in records if record["objective"] is not None]
        return min(scored, key=self.standing, default=None)
