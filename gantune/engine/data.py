"""Data sets by name: whole arrays, for they fit on the device."""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gantune.engine.mixtures import grid_centers, ring_centers, sample_mixture
from gantune.parts import Digits, Grid, Ring

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]

# Which samples a data set holds never depends on a trial's or a study's seed.
SAMPLE_SEED = 20_260_000


class Dataset(NamedTuple):
    """A data set in memory.

    Attributes:
        train: (n, C, H, W) images in [-1, 1], or (n, 2) points.
        labels: (n,) class of each training sample; None where there are none.
        holdout: Samples kept apart from training, maybe none.
        holdout_labels: Their classes.
        classes: Number of classes or modes; None where there are none.
        centers: (K, 2) means of a mixture's modes; None for images.
        std: Their standard deviation; None for images.
    """

    train: FloatArray
    labels: IntArray | None
    holdout: FloatArray
    holdout_labels: IntArray | None
    classes: int | None
    centers: FloatArray | None = None
    std: float | None = None


def load_dataset(options: Digits | Ring | Grid) -> Dataset:
    """Loads the data set that the options name."""
    return DATASETS[options.name](options)


def _digits(options: Digits) -> Dataset:
    table = _read_digits()
    # Pixels are 0 to 16; the last column is the class.
    images = (table[:, :-1].reshape(-1, 1, 8, 8) / 8 - 1).astype(np.float32)
    labels = table[:, -1].astype(np.int64)
    order = np.random.default_rng(SAMPLE_SEED).permutation(len(images))
    if options.limit is not None:
        order = order[: options.limit]
    kept = len(order) - round(len(order) * options.holdout)
    train, held = np.sort(order[:kept]), np.sort(order[kept:])
    return Dataset(images[train], labels[train], images[held], labels[held], classes=10)


def _read_digits() -> NDArray[np.float64]:
    """scikit-learn's table, without the second that importing ``sklearn.datasets`` takes."""
    package = find_spec("sklearn")
    assert package is not None and package.submodule_search_locations
    folder = Path(package.submodule_search_locations[0])
    return np.loadtxt(folder / "datasets" / "data" / "digits.csv.gz", delimiter=",")


def _mixture(options: Ring | Grid) -> Dataset:
    if isinstance(options, Ring):
        centers = ring_centers(options.modes, options.radius)
    else:
        centers = grid_centers(options.side, options.spacing)
    rng = np.random.default_rng(SAMPLE_SEED)
    points, labels = sample_mixture(centers, options.std, options.points, rng)
    kept = options.points - round(options.points * options.holdout)
    return Dataset(
        points[:kept],
        labels[:kept],
        points[kept:],
        labels[kept:],
        classes=len(centers),
        centers=centers,
        std=options.std,
    )


DATASETS: dict[str, Callable[[Any], Dataset]] = {
    "digits": _digits,
    "ring": _mixture,
    "grid": _mixture,
}
