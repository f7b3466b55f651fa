"""The configuration of one trial, and the ways through it by dotted path."""

import hashlib
import json
from collections.abc import Iterator
from typing import Annotated, Any, Literal, get_args

from pydantic import Field

from gantune.parts.base import Lane, Options
from gantune.parts.data import Data, Digits
from gantune.parts.foreign import ForeignPart
from gantune.parts.losses import Loss, NonSaturating
from gantune.parts.networks import (
    DiscriminatorPart,
    GeneratorPart,
    MlpDiscriminator,
    MlpGenerator,
)
from gantune.parts.optimizers import Constant, Optimizers, Schedule
from gantune.parts.penalties import NoPenalty, Penalty
from gantune.parts.training import Augment, Evaluation, Train
from gantune.sources import training_size


class TrialConfig(Options):
    """One complete, runnable configuration of a GAN and its training."""

    data: Data = Digits()
    generator: GeneratorPart = MlpGenerator()
    discriminator: DiscriminatorPart = MlpDiscriminator()
    loss: Loss = NonSaturating()
    penalty: Penalty = NoPenalty()
    optimizer: Optimizers = Optimizers()
    schedule: Schedule = Constant()
    train: Train = Train()
    augment: Augment = Augment()
    eval: Evaluation = Evaluation()
    seed: Annotated[int, Field(ge=0, lt=2**63)] = Field(
        0, description="Every trial's own seed is derived from this one and its number."
    )
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"


def alternatives(annotation: Any) -> list[type[Options]]:
    """The section types that an annotation allows; empty for a plain value."""
    if isinstance(annotation, type):
        return [annotation] if issubclass(annotation, Options) else []
    arguments = get_args(annotation)
    for mark in arguments:
        if isinstance(mark, ForeignPart):
            return mark.options()
    return [part for argument in arguments for part in alternatives(argument)]


def sections_at(path: str, root: type[Options] | None = None) -> list[type[Options]]:
    """Every type that the section at a dotted path can have; empty where there is none."""
    found: list[type[Options]] = [root or TrialConfig]
    for word in filter(None, path.split(".")):
        fields = [part.model_fields[word] for part in found if word in part.model_fields]
        found = [part for info in fields for part in alternatives(info.annotation)]
    return found


def all_paths(root: type[Options] | None = None, prefix: str = "") -> Iterator[str]:
    """Yields the dotted path of every field of every part (with repeats)."""
    for name, info in (root or TrialConfig).model_fields.items():
        parts = alternatives(info.annotation)
        for part in parts:
            yield from all_paths(part, f"{prefix}{name}.")
        if not parts:
            yield f"{prefix}{name}"


def leaves(options: Options, prefix: str = "") -> Iterator[tuple[str, Any, bool]]:
    """Yields (dotted path, value, is it a lane field) for every field below ``options``."""
    for name, info in type(options).model_fields.items():
        value, path = getattr(options, name), f"{prefix}{name}"
        if isinstance(value, Options):
            yield from leaves(value, f"{path}.")
        else:
            yield path, value, any(isinstance(mark, Lane) for mark in info.metadata)


def rounds_per_epoch(config: TrialConfig) -> int:
    """Rounds in an epoch of a trial: as configured, or once through the data.

    Raises:
        DataError: The size of the data is needed and not known.
    """
    train = config.train
    if train.steps_per_epoch is not None:
        return train.steps_per_epoch
    return -(-training_size(config.data) // (train.batch_size * train.d_steps))


def static_hash(config: TrialConfig) -> str:
    """Names the group of trials that could share one fused model: equal in all static fields."""
    static = {path: value for path, value, lane in leaves(config) if not lane and path != "seed"}
    return hashlib.sha256(json.dumps(static, sort_keys=True).encode()).hexdigest()[:16]
