"""What every loader makes, and how a part of it becomes a trial's data."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gantune.parts.data import AnyData, Grid, Ring
from gantune.sources.folder import ImageFiles

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]
Array = NDArray[Any]
Samples = Array | ImageFiles

# Which samples a data set holds never depends on a trial's or a study's seed.
SAMPLE_SEED = 20_260_000


class Source(NamedTuple):
    """A whole data set, without limit and holdout.

    Attributes:
        samples: (n, C, H, W) images, bytes or float32 in [-1, 1], resized; or (n, 2) points.
        labels: (n,) class of each; None where there are none.
        classes: Number of classes or modes; None where there are none.
        centers: (K, 2) means of a mixture's modes; None for images.
        std: Their standard deviation; None for images.
    """

    samples: Samples
    labels: IntArray | None
    classes: int | None
    centers: FloatArray | None = None
    std: float | None = None


class Dataset(NamedTuple):
    """The data of a trial.

    Attributes:
        train: (n, C, H, W) images, bytes or float32 in [-1, 1]; or (n, 2) points. Use
            :func:`gantune.metrics.pixels.to_images` on what is taken from it.
        labels: (n,) class of each training sample; None where there are none.
        holdout: Samples kept apart from training, maybe none; always in memory.
        holdout_labels: Their classes.
        classes: Number of classes or modes; None where there are none.
        centers: (K, 2) means of a mixture's modes; None for images.
        std: Their standard deviation; None for images.
    """

    train: Samples
    labels: IntArray | None
    holdout: Array
    holdout_labels: IntArray | None
    classes: int | None
    centers: FloatArray | None = None
    std: float | None = None


def split(source: Source, options: AnyData) -> Dataset:
    """Applies ``limit`` and ``holdout``: fixed samples, each in the order of the source."""
    count = len(source.samples)
    if isinstance(options, Ring | Grid):
        order = np.arange(count)  # independent draws already
    else:
        order = np.random.default_rng(SAMPLE_SEED).permutation(count)[: options.limit]
    kept = len(order) - round(len(order) * options.holdout)
    train, held = np.sort(order[:kept]), np.sort(order[kept:])
    samples, labels = source.samples, source.labels
    return Dataset(
        # Only that which is whole is not copied.
        train=samples if kept == count else take(samples, train),
        labels=None if labels is None else labels[train],
        holdout=samples[held],
        holdout_labels=None if labels is None else labels[held],
        classes=source.classes,
        centers=source.centers,
        std=source.std,
    )


def take(samples: Samples, rows: IntArray) -> Samples:
    """Some rows of samples; files stay files."""
    return samples.only(rows) if isinstance(samples, ImageFiles) else samples[rows]
