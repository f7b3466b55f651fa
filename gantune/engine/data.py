"""Data sets by name."""

from collections.abc import Callable
from typing import Any

from gantune.engine.datasets.base import Dataset as Dataset
from gantune.engine.datasets.base import Source, split
from gantune.engine.datasets.downloaded import cifar10, mnist_like, svhn
from gantune.engine.datasets.files import idx_set, image_folder, npz_set, stacked_mnist
from gantune.engine.datasets.small import digits, mixture
from gantune.metrics.pixels import to_images as to_images
from gantune.parts.data import AnyData
from gantune.sources import foreign_source, source_info

DATASETS: dict[str, Callable[[Any], Source]] = {
    "digits": digits,
    "ring": mixture,
    "grid": mixture,
    "mnist": mnist_like,
    "fashion_mnist": mnist_like,
    "kmnist": mnist_like,
    "cifar10": cifar10,
    "svhn": svhn,
    "idx": idx_set,
    "image_folder": image_folder,
    "npz": npz_set,
    "stacked_mnist": stacked_mnist,
}


def load_source(options: AnyData) -> Source:
    """Loads the whole data set that the options name, without limit and holdout.

    Raises:
        DataError: It cannot be used as the options ask.
    """
    source_info(options)
    if options.name in DATASETS:
        return DATASETS[options.name](options)
    source: Source = foreign_source(options)
    return source


def load_dataset(options: AnyData) -> Dataset:
    """Loads the data set that the options name.

    Raises:
        DataError: It cannot be used as the options ask.
    """
    return split(load_source(options), options)
