"""The real side of every metric, computed once per data set and shared by all trials."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import safetensors.numpy
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from gantune.metrics import classifier as classifiers
from gantune.metrics.classifier import Classifier
from gantune.metrics.distances import features_to_moments, matrix_root
from gantune.storage import write_atomically

FloatArray = NDArray[np.float32]


class FeatureInfo(NamedTuple):
    """Which feature space a number was measured in; shown with every number.

    Attributes:
        name: ``classifier`` or ``coordinates``.
        hash: Two distances compare only where it is equal.
        accuracy: The classifier's cross-validated accuracy; None without one.
        samples: Number of real samples behind the statistics.
    """

    name: str
    hash: str
    accuracy: float | None
    samples: int


class Reference(NamedTuple):
    """The real side as plain arrays, so that it crosses process boundaries without torch.

    Attributes:
        info: The feature space.
        classifier: Maps images to features and classes; None for points.
        mean: (d,) of the training data's features.
        covariance: (d, d).
        root: (d, d) its symmetric square root.
        class_share: (K,) share of each class in the training data; None without labels.
        centers: (K, 2) means of a mixture; None for images.
        std: Its components' standard deviation.
    """

    info: FeatureInfo
    classifier: Classifier | None
    mean: NDArray[np.float64]
    covariance: NDArray[np.float64]
    root: NDArray[np.float64]
    class_share: NDArray[np.float64] | None
    centers: FloatArray | None
    std: float | None


def make_reference(
    train: FloatArray,
    labels: NDArray[np.int64] | None,
    classes: int | None,
    classifier: Classifier | None,
    centers: FloatArray | None = None,
    std: float | None = None,
) -> Reference:
    """Computes the real side of the metrics.

    Args:
        train: (n, C, H, W) images in [-1, 1], or (n, 2) points.
        labels: (n,) classes.
        classes: Number of classes.
        classifier: Maps images to features; None for points, which are their own.
        centers: (K, 2) means of a mixture's modes.
        std: Their standard deviation.
    """
    with one_thread():
        return _make_reference(train, labels, classes, classifier, centers, std)


@contextmanager
def one_thread() -> Iterator[None]:
    """Computes on one thread: with more, sums are rounded in another order."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _make_reference(
    train: FloatArray,
    labels: NDArray[np.int64] | None,
    classes: int | None,
    classifier: Classifier | None,
    centers: FloatArray | None,
    std: float | None,
) -> Reference:
    if classifier is None:
        assert centers is not None
        features = torch.from_numpy(train).flatten(1)
        space = hashlib.sha256(centers.tobytes() + f"{std}".encode()).hexdigest()[:16]
        name, accuracy, digest = "coordinates", None, space
    else:
        layers = classifiers.to_layers(classifier, torch.device("cpu"))
        features = classifiers.to_features(layers, torch.from_numpy(train))
        name, accuracy, digest = "classifier", classifier.accuracy, classifier.hash
    moments = features_to_moments(features)
    share = None
    if labels is not None and classes is not None:
        share = np.bincount(labels, minlength=classes) / len(labels)
    return Reference(
        info=FeatureInfo(name, digest, accuracy, len(train)),
        classifier=classifier,
        mean=moments.mean.numpy(),
        covariance=moments.covariance.numpy(),
        root=matrix_root(moments.covariance).numpy(),
        class_share=share,
        centers=centers,
        std=std,
    )


def cache_dir() -> Path:
    """Where classifiers are kept: ``$GANTUNE_CACHE``, or ``gantune`` in the user's cache."""
    if own := os.environ.get("GANTUNE_CACHE"):
        return Path(own)
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "gantune"


def cached_classifier(train: FloatArray, labels: NDArray[np.int64], classes: int) -> Classifier:
    """The classifier of a whole data set, trained at its first use on this machine."""
    content = hashlib.sha256(train.tobytes() + labels.tobytes())
    content.update(f"{classifiers.VERSION}/{classes}".encode())
    path = cache_dir() / f"classifier-{content.hexdigest()[:16]}.safetensors"
    found = _read_classifier(path)
    if found is not None:
        return found
    with one_thread():
        made = classifiers.train_classifier(train, labels, classes)
    arrays = {f"{i}.weight": weight for i, weight in enumerate(made.weights)}
    arrays |= {f"{i}.bias": bias for i, bias in enumerate(made.biases)}
    try:
        data = safetensors.numpy.save(arrays, {"accuracy": repr(made.accuracy)})
        write_atomically(path, data)
    except OSError:
        pass  # a cache that cannot be written costs time, nothing else
    return made


def _read_classifier(path: Path) -> Classifier | None:
    try:
        with safe_open(path, framework="numpy") as file:
            accuracy = float(file.metadata()["accuracy"])
            count = len(file.keys()) // 2
            weights = tuple(file.get_tensor(f"{i}.weight") for i in range(count))
            biases = tuple(file.get_tensor(f"{i}.bias") for i in range(count))
    except (FileNotFoundError, SafetensorError, KeyError, OSError):
        return None
    return Classifier(weights, biases, accuracy)
