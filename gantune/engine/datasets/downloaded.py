"""Sets that torchvision knows where to get: their training splits."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from gantune.engine.datasets.base import Array, IntArray, Source
from gantune.engine.datasets.files import idx_source
from gantune.errors import DataError
from gantune.parts.data import Cifar10, Downloaded, Svhn
from gantune.sources.idx import find_idx
from gantune.sources.info import FIXED
from gantune.sources.resize import resize_all

# torchvision's classes, after which it names its folders.
IDX_CLASSES = {"mnist": "MNIST", "fashion_mnist": "FashionMNIST", "kmnist": "KMNIST"}


def mnist_like(options: Downloaded) -> Source:
    """A set in IDX files, which torchvision downloads and our own reader checks and reads."""
    kind = IDX_CLASSES[options.name]
    root = Path(options.root).expanduser()
    if not list((root / kind / "raw").glob("train-images-idx3-ubyte*")):
        from torchvision import datasets

        with _fetching(options):
            getattr(datasets, kind)(root, train=True, download=options.download)
    source = idx_source(find_idx(str(root), (f"{kind}/raw",)), options.image_size)
    _check_whole(options, source.samples.shape, source.labels)
    return source


def cifar10(options: Cifar10) -> Source:
    """CIFAR-10, whose files torchvision checks by their MD5 sums."""
    from torchvision import datasets

    root = Path(options.root).expanduser()
    with _fetching(options):
        found = datasets.CIFAR10(root, train=True, download=options.download)
    images = np.ascontiguousarray(found.data.transpose(0, 3, 1, 2))
    return _as_source(options, images, np.array(found.targets, np.int64))


def svhn(options: Svhn) -> Source:
    """SVHN, whose files torchvision checks by their MD5 sums and scipy reads."""
    if find_spec("scipy") is None:
        raise DataError("data.name", "svhn is stored in MATLAB's format: pip install scipy")
    from torchvision import datasets

    root = str(Path(options.root).expanduser())
    with _fetching(options):
        found = datasets.SVHN(root, split="train", download=options.download)
    return _as_source(options, found.data, found.labels.astype(np.int64))


def _as_source(options: Downloaded, images: Array, labels: IntArray) -> Source:
    _check_whole(options, images.shape, labels)
    return Source(resize_all(images, options.image_size), labels, classes=10)


@contextmanager
def _fetching(options: Downloaded) -> Iterator[None]:
    """Says what to do where torchvision has no files, or cannot get them."""
    root = Path(options.root).expanduser()
    try:
        yield
    except (OSError, RuntimeError) as error:
        if options.download:
            message = f"{options.name} cannot be downloaded to {root.absolute()}: {error}"
            raise DataError("data.download", message) from None
        message = f"{root.absolute()} does not have the files of {options.name}: set "
        raise DataError(
            "data.root", f"{message}data.download: true, or point data.root to them"
        ) from None


def _check_whole(options: Downloaded, shape: tuple[int, ...], labels: IntArray | None) -> None:
    expected = FIXED[options.name]
    if labels is None:
        raise DataError("data.root", f"{options.root} has no labels of {options.name}")
    if shape[0] != expected.size:
        message = f"{options.root} has {shape[0]} images, and {options.name} has {expected.size}"
        raise DataError("data.root", f"{message}; name: idx takes any number")
