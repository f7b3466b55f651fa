"""What makes a trial legal beyond the types of its fields: which parts go together."""

from collections.abc import Callable, Iterator

from gantune.config import TrialConfig, rounds_per_epoch
from gantune.errors import DataError
from gantune.parts.networks import (
    BUILT_IN_DISCRIMINATOR,
    BUILT_IN_GENERATOR,
    ConvGenerator,
    Discriminator,
    Generator,
    MaxoutDiscriminator,
    MlpDiscriminator,
    MlpGenerator,
    UpsampleDiscriminator,
    UpsampleGenerator,
)
from gantune.parts.penalties import GRADIENT_PENALTIES, PenaltyTerm
from gantune.parts.sizes import SMALLEST_MAPS, smallest_map
from gantune.parts.training import AccuracyBalance
from gantune.sources import SourceInfo, source_info, training_size
from gantune.sources.weights import find_inception

Complaint = tuple[str, str]
"""(path of the field to change, what is wrong)."""

ANY_SHAPE = (MlpGenerator, MlpDiscriminator, MaxoutDiscriminator)
BUILT_IN = {*BUILT_IN_GENERATOR, *BUILT_IN_DISCRIMINATOR}


def _is_for_any_shape(part: Generator | Discriminator) -> bool:
    """Whether a network makes or judges samples of any shape; an extension's says so itself."""
    return isinstance(part, ANY_SHAPE) or part.name not in BUILT_IN


SMALLEST_FOR_INSTANCE_NORM = 32
LARGEST = 128


def check_trial(trial: TrialConfig) -> Iterator[Complaint]:
    """Yields (path, message) for fields that are valid alone and do not go together."""
    try:
        info = source_info(trial.data)
    except DataError as error:
        yield error.field, error.message
        return
    for rule in RULES:
        yield from rule(trial, info)


def _rounds(trial: TrialConfig, info: SourceInfo) -> Iterator[Complaint]:
    penalty, rounds = trial.penalty, rounds_per_epoch(trial)
    if isinstance(penalty, PenaltyTerm) and rounds % penalty.every:
        message = f"every {penalty.every} rounds does not divide the epoch's {rounds} rounds"
        yield "penalty.every", message
    if (
        isinstance(penalty, PenaltyTerm)
        and penalty.every > 1
        and trial.train.balance.name != "fixed"
    ):
        message = "a lazy penalty counts rounds, and under a rule of balance D misses some: use 1"
        yield "penalty.every", message


def _batches(trial: TrialConfig, info: SourceInfo) -> Iterator[Complaint]:
    size, batch, pack = training_size(trial.data), trial.train.batch_size, trial.discriminator.pack
    if batch > size:
        yield "train.batch_size", f"a batch of {batch} is more than the {size} training samples"
    if batch % pack:
        yield "train.batch_size", f"a batch of {batch} is no whole number of packs of {pack}"
    elif getattr(trial.discriminator, "norm", "none") == "batch" and batch == pack:
        yield (
            "train.batch_size",
            f"one pack of {pack} is no batch for the discriminator's batch norm",
        )
    if trial.eval.samples is not None and trial.eval.samples < pack:
        yield "eval.samples", f"{trial.eval.samples} samples are less than a pack of {pack}"


def _penalties(trial: TrialConfig, info: SourceInfo) -> Iterator[Complaint]:
    name, discriminator = trial.penalty.name, trial.discriminator
    if name not in GRADIENT_PENALTIES:
        return
    if getattr(discriminator, "norm", "none") == "batch":
        message = f"{name} looks at the gradient of each sample, and batch norm couples them"
        yield "discriminator.norm", f"{message}: use none, layer or spectral"
    if trial.train.compile:
        message = f"{name} needs second derivatives, which torch.compile does not have"
        yield "train.compile", message


def _modes(trial: TrialConfig, info: SourceInfo) -> Iterator[Complaint]:
    train = trial.train
    if train.switch_eval and train.share_fake:
        message = "must be false with switch_eval: each player's fakes are of another mode"
        yield "train.share_fake", message
    balance = train.balance
    if isinstance(balance, AccuracyBalance) and balance.low > balance.high:
        message = f"{balance.low} is above high, {balance.high}: both players would pause"
        yield "train.balance.low", message


def _points(trial: TrialConfig, info: SourceInfo) -> Iterator[Complaint]:
    if len(info.shape) == 3:
        return
    for player in ("generator", "discriminator"):
        part = getattr(trial, player)
        if not _is_for_any_shape(part):
            message = f"{part.name} is for images, and {trial.data.name} is of points: use mlp"
            yield f"{player}.name", message
    for name in type(trial.augment).model_fields:
        if getattr(trial.augment, name):
            yield f"augment.{name}", f"is for images, and {trial.data.name} is of points"


def _sizes(trial: TrialConfig, info: SourceInfo) -> Iterator[Complaint]:
    if len(info.shape) != 3:
        return
    _, height, width = info.shape
    for player in ("generator", "discriminator"):
        part = getattr(trial, player)
        if _is_for_any_shape(part):
            continue
        problem = _size_problem(part, height, width)
        if problem:
            yield "data.image_size", f"{player}.name {part.name} {problem}"


def _size_problem(part: object, height: int, width: int) -> str | None:
    """Why a convolutional network cannot make or judge an image; None where it can."""
    if height != width:
        return f"is for square images; these are {height}x{width}"
    if not 8 <= height <= LARGEST:
        return f"is for 8 to {LARGEST} pixels; these have {height}"
    if isinstance(part, UpsampleGenerator):
        return f"makes multiples of 4 pixels, not {height}" if height % 4 else None
    if isinstance(part, UpsampleDiscriminator):
        is_too_small = part.norm == "instance" and height < SMALLEST_FOR_INSTANCE_NORM
        small = f"with instance norm is for {SMALLEST_FOR_INSTANCE_NORM} pixels or more"
        return f"{small}, not {height}" if is_too_small else None
    try:
        smallest_map(height)
    except ValueError as error:
        verb = "makes" if isinstance(part, ConvGenerator) else "takes"
        return f"{verb} other sizes: {error}; the nearest is {_nearest(height)}"
    return None


def _nearest(size: int) -> int:
    """The size nearest to one that cannot be made."""
    possible = [s << k for s in SMALLEST_MAPS for k in range(1, 6) if s << k <= LARGEST]
    return min(possible, key=lambda other: (abs(other - size), other))


def _precision(trial: TrialConfig, info: SourceInfo) -> Iterator[Complaint]:
    is_tiny = len(info.shape) == 3 and info.shape[1] <= SMALLEST_MAPS[-1] + 1
    if trial.train.precision == "bf16" and isinstance(trial.discriminator, UpsampleDiscriminator):
        if is_tiny:
            # torch 2.15 on a CPU: the gradient of a bfloat16 convolution of one pixel is not set.
            message = (
                "the upsample discriminator's last map is one pixel here, which bf16 gets wrong"
            )
            yield "train.precision", f"{message}: use fp32, or a larger data.image_size"


def _features(trial: TrialConfig, info: SourceInfo) -> Iterator[Complaint]:
    wanted, is_image = trial.eval.features, len(info.shape) == 3
    if wanted == "auto":
        return
    if not is_image:
        yield "eval.features", f"{wanted} is for images; points are their own features"
    elif wanted == "classifier" and info.classes is None:
        yield "eval.features", "a classifier needs labels of several classes"
    elif wanted == "inception":
        try:
            find_inception()
        except DataError as error:
            yield error.field, error.message


RULES: tuple[Callable[[TrialConfig, SourceInfo], Iterator[Complaint]], ...] = (
    _rounds,
    _batches,
    _penalties,
    _modes,
    _points,
    _sizes,
    _features,
    _precision,
)
