"""Sets from the user's own files: IDX, a folder of images, .npz; and stacks of digits."""

import numpy as np

from gantune.engine.datasets.base import SAMPLE_SEED, Array, IntArray, Source
from gantune.parts.data import Idx, ImageFolder, Npz, StackedMnist
from gantune.sources import idx, npz
from gantune.sources.folder import list_images, open_files
from gantune.sources.info import STACKED, count_classes, stacked_files
from gantune.sources.resize import resize_all


def idx_set(options: Idx) -> Source:
    """Images and labels of the IDX files in a folder."""
    return idx_source(idx.find_idx(options.root), options.image_size)


def idx_source(files: idx.IdxFiles, image_size: int | None) -> Source:
    """Images and labels of IDX files.

    Raises:
        DataError: A file is damaged, or the labels are not those of the images.
    """
    idx.read_shape(files)  # compares the two files
    images, labels = idx.read_images(files), idx.read_labels(files)
    return _labelled(resize_all(images, image_size), labels, str(files.labels))


def npz_set(options: Npz) -> Source:
    """Images and labels of an .npz file."""
    images = npz.read_images(options.root)
    labels = npz.read_labels(options.root, len(images))
    return _labelled(resize_all(images, options.image_size), labels, options.root)


def image_folder(options: ImageFolder) -> Source:
    """A folder's images: in memory, or as files where workers are to read them."""
    files, listing = open_files(options), list_images(options.root)
    labels = None if listing.labels is None else np.array(listing.labels, np.int64)
    samples = files if options.workers else files[:]
    return Source(samples, labels, len(listing.classes) or None)


def stacked_mnist(options: StackedMnist) -> Source:
    """Stacks of three random digits; the class of digits a, b, c is 100a + 10b + c."""
    digits = stacked_digits(options)
    assert isinstance(digits.samples, np.ndarray) and digits.labels is not None
    rng = np.random.default_rng(SAMPLE_SEED)
    rows = rng.integers(len(digits.samples), size=(options.points, STACKED))
    classes = digits.labels[rows] @ np.array([100, 10, 1])
    return Source(digits.samples[rows, 0], classes, classes=1000)


def stacked_digits(options: StackedMnist) -> Source:
    """The digits that stacks are made of."""
    return idx_source(stacked_files(options.root), options.image_size)


def _labelled(images: Array, labels: IntArray | None, what: str) -> Source:
    classes = count_classes(labels, what)
    return Source(images, labels if classes else None, classes)
