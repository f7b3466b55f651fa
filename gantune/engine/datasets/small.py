"""Sets that need no files of their own: scikit-learn's digits and the 2-D mixtures."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gantune.engine.datasets.base import SAMPLE_SEED, Source
from gantune.engine.mixtures import grid_centers, ring_centers, sample_mixture
from gantune.parts.data import Digits, Grid, Ring
from gantune.sources.resize import resize_all


def digits(options: Digits) -> Source:
    """The 1,797 digits as float32, for their pixels have 17 values."""
    table = _read_digits()
    # Pixels are 0 to 16; the last column is the class.
    images = (table[:, :-1].reshape(-1, 1, 8, 8) / 8 - 1).astype(np.float32)
    labels = table[:, -1].astype(np.int64)
    return Source(resize_all(images, options.image_size), labels, classes=10)


def _read_digits() -> NDArray[np.float64]:
    """scikit-learn's table, without the second that importing ``sklearn.datasets`` takes."""
    package = find_spec("sklearn")
    assert package is not None and package.submodule_search_locations
    folder = Path(package.submodule_search_locations[0])
    return np.loadtxt(folder / "datasets" / "data" / "digits.csv.gz", delimiter=",")


def mixture(options: Ring | Grid) -> Source:
    """Points of a mixture, with the mode that each was drawn from."""
    if isinstance(options, Ring):
        centers = ring_centers(options.modes, options.radius)
    else:
        centers = grid_centers(options.side, options.spacing)
    rng = np.random.default_rng(SAMPLE_SEED)
    points, labels = sample_mixture(centers, options.std, options.points, rng)
    return Source(points, labels, len(centers), centers, options.std)
