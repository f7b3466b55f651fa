"""Whether a metric's values in two runs mean the same."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from gantune.analysis.measured import MeasuredIn
from gantune.errors import IncomparableError
from gantune.objectives import IN_FEATURES, OF_CLASSES
from gantune.study import Study

if TYPE_CHECKING:
    import pandas as pd

CLASSIFIER = "classifier"

_NO_DATA = {"download", "workers"}
"""Options of a data set that change none of its samples."""


class Measured(Protocol):
    """What the values of a run's metrics depend on: of a run that is there, or is about to be."""

    @property
    def root(self) -> Path: ...

    @property
    def study(self) -> Study: ...

    @property
    def measured_in(self) -> MeasuredIn | None: ...


class Compared(Measured, Protocol):
    """What a comparison asks of a run: a :class:`gantune.Run`."""

    @property
    def name(self) -> str: ...

    @property
    def status(self) -> str: ...

    @property
    def trials(self) -> "pd.DataFrame": ...

    @property
    def epochs(self) -> "pd.DataFrame": ...


def check_comparable(metric: str, first: Measured, other: Measured) -> None:
    """Refuses to compare what does not compare.

    Distances in features need the same features (by hash) and the same number of samples, in which
    Fréchet's is biased; every metric needs the same data.

    Raises:
        IncomparableError: Values of the metric in the two runs mean different things.
    """
    ours, theirs = first.measured_in, other.measured_in
    if metric in IN_FEATURES:
        _check_features(metric, (first, ours), (other, theirs))
    elif metric in OF_CLASSES and ours and theirs and {ours.name, theirs.name} == {CLASSIFIER}:
        _check_hash(metric, (first, ours), (other, theirs))
    mine, yours = _data_of(first), _data_of(other)
    if ours and theirs and ours.name == theirs.name == CLASSIFIER:
        # The classifier is made of the data: with the same one, where they lie says nothing.
        mine.pop("root", None)
        yours.pop("root", None)
    for name in sorted(mine.keys() | yours.keys()):
        if mine.get(name) != yours.get(name):
            raise IncomparableError(
                f"{metric} of {first.root} and {other.root} does not compare: their data differ, "
                f"data.{name} is {mine.get(name)} and {yours.get(name)}"
            )


Side = tuple[Measured, MeasuredIn | None]


def _check_features(metric: str, first: Side, other: Side) -> None:
    for run, measured in (first, other):
        if measured is None:
            message = f"{run.root} has not noted its features: {metric} compares with nothing"
            raise IncomparableError(message)
    _check_hash(metric, first, other)
    counts = [measured.samples for _, measured in (first, other) if measured]
    if counts[0] != counts[1]:
        raise IncomparableError(
            f"{metric} of {first[0].root} and {other[0].root} does not compare: it is biased in "
            f"the number of samples, {counts[0]:,} and {counts[1]:,}; `gantune evaluate` scores "
            "checkpoints again with equal numbers"
        )
    for run, _ in (first, other):
        if "eval.samples" in run.study.search:
            message = f"{metric} of {run.root} is of numbers of samples that differ by trial"
            raise IncomparableError(message)


def _check_hash(metric: str, first: Side, other: Side) -> None:
    (one, ours), (two, theirs) = first, other
    assert ours is not None and theirs is not None
    if ours.hash != theirs.hash:
        raise IncomparableError(
            f"{metric} of {one.root} and {two.root} does not compare: the first is in "
            f"{ours.features}, the second in {theirs.features}"
        )


def _data_of(run: Measured) -> dict[str, Any]:
    """What the samples follow from: the data section, and what of it differs between trials."""
    data = run.study.trial.data.model_dump(mode="json", exclude=_NO_DATA)
    searched = {
        path.removeprefix("data."): spec.model_dump(mode="json", exclude_none=True)
        for path, spec in run.study.search.items()
        if path.startswith("data.")
    }
    return {**data, **searched}
