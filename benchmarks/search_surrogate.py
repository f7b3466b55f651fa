"""What a trial that nobody trained would have been: a recorded learning curve from nearby.

A forest of fully grown, extremely randomised trees (Geurts et al., 2006) is fitted to the
logarithms of the recorded curves. Each leaf of a tree holds one recorded trial, so that a tree
drawn by the trial's seed answers with one whole curve as it was measured: noise, setbacks and the
correlation of epochs stay, and no value comes out that no GAN had. Which parameters make trials
alike is learned (a forest is an adaptive neighbourhood: Lin & Jeon, 2006), and two seeds of one
configuration differ.
"""

import math
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow.parquet as pq
from sklearn.ensemble import ExtraTreesRegressor

from gantune.checks import search_space
from gantune.goals import Goal
from gantune.space import Parameter, Space
from gantune.study import Study

TREES = 400
FOLDS = 20

INACTIVE = -100.0
"""The coordinate of a parameter that a trial does not have: a tree's first cut is beside it."""


def shortfall(goal: Goal, value: float | None) -> float | None:
    """What is to become small: an objective to be minimized itself, of a share what it lacks of 1.

    It is its own inverse. Searches are compared by ratios of it.
    """
    return value if value is None or goal == "minimize" else 1 - value


class Curve(NamedTuple):
    """A trial as it was measured.

    Attributes:
        objectives: Of each epoch, as shortfalls; a diverged trial has none in its last.
        diverged: Whether it ended so.
    """

    objectives: tuple[float | None, ...]
    diverged: bool = False

    def objective(self, epoch: int) -> float | None:
        """Measured after an epoch; None where it had diverged."""
        return self.objectives[epoch - 1] if epoch <= len(self.objectives) else None

    def best(self, epoch: int) -> float:
        """The lowest objective up to an epoch; infinite where there is none."""
        return min((v for v in self.objectives[:epoch] if v is not None), default=math.inf)


class Recorded(NamedTuple):
    """The trials of a table.

    Attributes:
        values: The searched values of each, by path; those that it has.
        curves: The curve of each.
        machine: What they were trained on.
    """

    values: list[dict[str, Any]]
    curves: list[Curve]
    machine: str


def read_recorded(path: Path, goal: Goal) -> Recorded:
    """Reads what :func:`search_record.write_trials` wrote of trials with such a goal."""
    table = pq.read_table(path)
    searched = table.column_names[2 : table.column_names.index("objective")]
    values, curves = [], []
    for _, group in groupby(table.to_pylist(), lambda row: row["number"]):
        epochs = list(group)
        values.append({name: epochs[0][name] for name in searched if epochs[0][name] is not None})
        objectives = tuple(shortfall(goal, row["objective"]) for row in epochs)
        curves.append(Curve(objectives, epochs[-1]["verdict"] == "diverged"))
    return Recorded(values, curves, table.schema.metadata[b"machine"].decode())


class Surrogate:
    """Answers for every configuration of a space with one of the recorded curves."""

    def __init__(self, study: Study, recorded: Recorded) -> None:
        self._space: Space = search_space(study)
        self._curves = recorded.curves
        points = np.array([self._point(values) for values in recorded.values])
        self._forest = _grown(points, recorded.curves)
        leaves = self._forest.apply(points)
        self._at_leaf = [dict(zip(tree, range(len(tree)), strict=True)) for tree in leaves.T]

    def curve(self, values: Mapping[str, Any], seed: int) -> Curve:
        """The curve of a trial with a configuration and a seed."""
        tree = seed % TREES
        leaf = self._forest.estimators_[tree].apply(np.array([self._point(values)]))[0]
        return self._curves[self._at_leaf[tree][leaf]]

    def neighbours(self, values: Mapping[str, Any]) -> list[int]:
        """The trial that each tree answers with."""
        leaves = self._forest.apply(np.array([self._point(values)]))[0]
        return [found[leaf] for found, leaf in zip(self._at_leaf, leaves, strict=True)]

    def _point(self, values: Mapping[str, Any]) -> list[float]:
        return [
            number
            for parameter in self._space.parameters
            if not parameter.spec.same_as
            for number in _coordinates(parameter, values)
        ]


def _coordinates(parameter: Parameter, values: Mapping[str, Any]) -> Sequence[float]:
    spec = parameter.spec
    if parameter.path not in values:
        return [INACTIVE]
    value = values[parameter.path]
    if isinstance(value, str):
        return [float(value == choice) for choice in parameter.ends()]
    value = value / values[spec.times] if spec.times else value
    return [math.log(value) if spec.log_uniform or spec.log_int else float(value)]


def _grown(points: np.ndarray, curves: Sequence[Curve]) -> ExtraTreesRegressor:
    length = max(len(curve.objectives) for curve in curves)
    worst = max(v for curve in curves for v in curve.objectives if v is not None)
    logs = np.full((len(curves), length), math.log(worst))
    for row, curve in zip(logs, curves, strict=True):
        known = [worst if value is None else value for value in curve.objectives]
        row[: len(known)] = np.log(known)
    return ExtraTreesRegressor(TREES, min_samples_leaf=1, random_state=0).fit(points, logs)


class Answer(NamedTuple):
    """A recorded trial and what the others say it was.

    Attributes:
        true: Its own curve.
        given: The curves with which the trees answered.
    """

    true: Curve
    given: list[Curve]


def held_out(study: Study, recorded: Recorded) -> list[Answer]:
    """Asks for each recorded trial a surrogate that has not seen it, nor the rest of its fold."""
    answers = []
    for fold in range(FOLDS):
        rest = [n for n in range(len(recorded.curves)) if n % FOLDS != fold]
        values, curves = [recorded.values[n] for n in rest], [recorded.curves[n] for n in rest]
        surrogate = Surrogate(study, Recorded(values, curves, recorded.machine))
        for number in range(fold, len(recorded.curves), FOLDS):
            picks = surrogate.neighbours(recorded.values[number])
            answers.append(Answer(recorded.curves[number], [curves[n] for n in picks]))
    return answers
