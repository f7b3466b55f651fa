"""What an extension uses: ``from gantune import extend``.

Each decorator adds a part under the name that is the default of its options' ``name``::

    class WideOptions(extend.GeneratorOptions):
        name: Literal["wide"] = "wide"
        width: int = 256

    @extend.generator(WideOptions)
    def wide(options: WideOptions, sample_shape: tuple[int, ...]) -> torch.nn.Module:
        ...

A network is a ``torch.nn.Module`` that maps (B, latent_dim) to (B, *sample_shape), or samples to
(B,) logits. It must not draw random numbers (no ``nn.Dropout``): a trial that is run again has to
give the same numbers.
"""

from collections.abc import Callable
from typing import Any, Literal, TypeVar

from gantune.columns import EPOCHS
from gantune.engine.datasets.base import Source as Source
from gantune.engine.losses import DiscriminatorLoss as DiscriminatorLoss
from gantune.engine.losses import Loss as Loss
from gantune.engine.penalties import Subject as Subject
from gantune.errors import UsageError
from gantune.extensions import running_source
from gantune.parts.base import Options
from gantune.parts.data import BUILT_IN_DATA
from gantune.parts.data import ImageSet as DataOptions
from gantune.parts.foreign import EXTRA_METRICS, EXTRAS, Extra, ExtraMetric
from gantune.parts.losses import BUILT_IN_LOSS
from gantune.parts.losses import LossOptions as LossOptions
from gantune.parts.networks import BUILT_IN_DISCRIMINATOR, BUILT_IN_GENERATOR
from gantune.parts.networks import Discriminator as DiscriminatorOptions
from gantune.parts.networks import Generator as GeneratorOptions
from gantune.parts.penalties import BUILT_IN_PENALTY
from gantune.parts.penalties import PenaltyTerm as PenaltyOptions

__all__ = [
    "DataOptions",
    "DiscriminatorLoss",
    "DiscriminatorOptions",
    "GeneratorOptions",
    "Loss",
    "LossOptions",
    "PenaltyOptions",
    "Source",
    "Subject",
    "data",
    "discriminator",
    "generator",
    "loss",
    "metric",
    "penalty",
]

Function = TypeVar("Function", bound=Callable[..., Any])
Decorator = Callable[[Function], Function]

BUILT_IN = {
    "data": BUILT_IN_DATA,
    "generator": BUILT_IN_GENERATOR,
    "discriminator": BUILT_IN_DISCRIMINATOR,
    "loss": BUILT_IN_LOSS,
    "penalty": BUILT_IN_PENALTY,
}


def generator(options: type[GeneratorOptions]) -> "Decorator[Function]":
    """Adds a generator: (options, sample_shape) -> torch.nn.Module."""
    return _adds("generator", options, GeneratorOptions)


def discriminator(options: type[DiscriminatorOptions]) -> "Decorator[Function]":
    """Adds a discriminator: (options, sample_shape) -> torch.nn.Module."""
    return _adds("discriminator", options, DiscriminatorOptions)


def loss(options: type[LossOptions]) -> "Decorator[Function]":
    """Adds a loss: (options) -> :class:`Loss`."""
    return _adds("loss", options, LossOptions)


def penalty(options: type[PenaltyOptions]) -> "Decorator[Function]":
    """Adds a penalty: (options) -> a function of :class:`Subject`, which returns the term."""
    return _adds("penalty", options, PenaltyOptions)


def data(options: type[DataOptions]) -> "Decorator[Function]":
    """Adds a data set: (options) -> :class:`Source`; it is loaded when a study is checked."""
    return _adds("data", options, DataOptions)


def metric(name: str, goal: Literal["minimize", "maximize"]) -> "Decorator[Function]":
    """Adds a metric: a function of (n, ...) samples in [-1, 1] that returns a number.

    Raises:
        UsageError: The name is taken.
    """
    source = running_source()
    if not name.isidentifier() or name in {column.name for column in EPOCHS}:
        raise UsageError(f"extensions: a metric cannot be named {name!r}")
    _refuse_taken("metric", name, EXTRA_METRICS.get(name), source)

    def add(function: Function) -> Function:
        EXTRA_METRICS[name] = ExtraMetric(goal, function, source)
        return function

    return add


def _adds(kind: str, options: type[Options], base: type[Options]) -> "Decorator[Function]":
    source = running_source()
    if not (isinstance(options, type) and issubclass(options, base)):
        raise UsageError(f"extensions: options of a {kind} extend {base.__name__}: {options!r}")
    name = options.model_fields["name"].default
    if not isinstance(name, str):
        raise UsageError(f'extensions: {options.__name__} needs name: Literal["..."] = "..."')
    if name in BUILT_IN[kind]:
        raise UsageError(f"extensions: {kind} {name} is a built-in one: choose another name")
    _refuse_taken(kind, name, EXTRAS[kind].get(name), source)

    def add(function: Function) -> Function:
        EXTRAS[kind][name] = Extra(options, function, source)
        return function

    return add


def _refuse_taken(kind: str, name: str, other: Extra | ExtraMetric | None, source: str) -> None:
    if other is not None and other.source == source:
        raise UsageError(f"extensions: {kind} {name} is added twice")
