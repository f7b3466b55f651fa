"""How many samples a data set has, and of what shape, as cheaply as its files allow."""

from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from gantune.errors import DataError
from gantune.parts.data import (
    AnyData,
    Digits,
    Grid,
    Idx,
    ImageFolder,
    Npz,
    Ring,
    StackedMnist,
)
from gantune.parts.foreign import EXTRAS
from gantune.sources import idx, npz
from gantune.sources.folder import list_images, open_files

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

STACKED = 3
DIGIT_CLASSES = 10

MAX_CLASSES = 10_000


class SourceInfo(NamedTuple):
    """What is known of a data set before it is loaded.

    Attributes:
        size: Number of samples after ``limit``, before ``holdout``.
        shape: Of one sample: (C, H, W), or (2,).
        classes: Number of classes or modes; None where there are no labels.
    """

    size: int
    shape: tuple[int, ...]
    classes: int | None

    def training_size(self, holdout: float) -> int:
        """How many samples are left to train on."""
        return self.size - round(self.size * holdout)


# The training splits of sets that do not change; whether they are there shows when they are loaded.
FIXED = {
    "digits": SourceInfo(1797, (1, 8, 8), 10),
    "mnist": SourceInfo(60_000, (1, 28, 28), 10),
    "fashion_mnist": SourceInfo(60_000, (1, 28, 28), 10),
    "kmnist": SourceInfo(60_000, (1, 28, 28), 10),
    "cifar10": SourceInfo(50_000, (3, 32, 32), 10),
    "svhn": SourceInfo(73_257, (3, 32, 32), 10),
}


@lru_cache(maxsize=1024)
def source_info(options: AnyData) -> SourceInfo:
    """Size, shape and classes of a data set, from its headers.

    Raises:
        DataError: It cannot be used as the options ask.
    """
    if isinstance(options, Ring):
        return SourceInfo(options.points, (2,), options.modes)
    if isinstance(options, Grid):
        return SourceInfo(options.points, (2,), options.side**2)
    stored = _stored(options)
    if stored.size < 2 and not isinstance(options, Digits):
        where = getattr(options, "root", options.name)
        raise DataError("data.root", f"{where} has one image; at least 2 are needed")
    if options.limit is not None and options.limit > stored.size:
        message = f"{options.limit} images are more than the {stored.size} of {options.name}"
        raise DataError("data.limit", message)
    channels, *side = stored.shape
    if options.image_size is not None:
        side = [options.image_size] * 2
    return SourceInfo(options.limit or stored.size, (channels, *side), stored.classes)


def forget_sources() -> None:
    """Looks at files anew: they may have changed since they were asked about."""
    source_info.cache_clear()
    foreign_source.cache_clear()
    list_images.cache_clear()


def training_size(data: AnyData) -> int:
    """How many training samples a data set has.

    Raises:
        DataError: It cannot be used as the options ask.
    """
    return source_info(data).training_size(data.holdout)


def count_classes(labels: "NDArray[np.int64] | None", what: str) -> int | None:
    """The number of classes of labels 0 to K - 1; None where there are not two.

    Raises:
        DataError: A label is no such number.
    """
    if labels is None:
        return None
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= MAX_CLASSES:
        message = f"labels in {what} go from {low} to {high}; classes are 0 to {MAX_CLASSES - 1}"
        raise DataError("data.root", message)
    return high + 1 if high > 0 else None


def _stored(options: AnyData) -> SourceInfo:
    """The set as it is on disk."""
    if isinstance(options, Idx):
        return _idx_info(idx.find_idx(options.root))
    if isinstance(options, StackedMnist):
        digits = _idx_info(stacked_files(options.root))
        if digits.classes != DIGIT_CLASSES:
            message = (
                f"{options.root} has {digits.classes} classes, and stacks are of {DIGIT_CLASSES}"
            )
            raise DataError("data.root", message)
        return SourceInfo(options.points, (STACKED, *digits.shape[1:]), DIGIT_CLASSES**STACKED)
    if isinstance(options, Npz):
        n, *shape = npz.read_shape(options.root)
        labels = npz.read_labels(options.root, n)
        return SourceInfo(n, tuple(shape), count_classes(labels, options.root))
    if isinstance(options, ImageFolder):
        files, classes = open_files(options), list_images(options.root).classes
        return SourceInfo(len(files), files.shape[1:], len(classes) or None)
    if options.name in FIXED:
        return FIXED[options.name]
    source = foreign_source(options)
    return SourceInfo(len(source.samples), tuple(source.samples.shape[1:]), source.classes)


@lru_cache(maxsize=4)
def foreign_source(options: AnyData) -> Any:
    """The data set that an extension makes: a :class:`gantune.extend.Source`.

    Raises:
        DataError: It is not what the engine can use.
    """
    extra = EXTRAS["data"].get(options.name)
    if extra is None:
        raise DataError("data.name", f"{options.name} is of an extension that is not loaded")
    source = extra.make(options)
    problem = _source_problem(source)
    if problem:
        raise DataError("data.name", f"{options.name}, of an extension, {problem}")
    return source


def _source_problem(source: Any) -> str | None:
    samples = getattr(source, "samples", None)
    dtype, shape = str(getattr(samples, "dtype", "")), tuple(getattr(samples, "shape", ()))
    is_images = len(shape) == 4 and shape[1] in (1, 3)
    if samples is None or dtype not in ("uint8", "float32") or not is_images:
        found = f"samples of {dtype or type(samples).__name__} and shape {shape}"
        return f"has {found}; needed: uint8 or float32, (n, C, H, W), C 1 or 3"
    if source.labels is not None and len(source.labels) != len(samples):
        return f"has {len(samples)} samples and {len(source.labels)} labels"
    return None


def _idx_info(files: idx.IdxFiles) -> SourceInfo:
    n, height, width = idx.read_shape(files)
    labels = idx.read_labels(files)
    return SourceInfo(n, (1, height, width), count_classes(labels, str(files.labels)))


def stacked_files(root: str) -> idx.IdxFiles:
    """The digits that stacks are made of.

    Raises:
        DataError: They or their labels are not there.
    """
    files = idx.find_idx(root, idx.LAYOUTS)
    if files.labels is None:
        raise DataError(
            "data.root", f"{files.images} has no labels beside it, and stacks need them"
        )
    return files
