"""The real side of every metric, computed once per data set and shared by all trials."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gantune.metrics.classifier import Classifier
from gantune.metrics.distances import features_to_moments, matrix_root
from gantune.metrics.fit import random_features
from gantune.metrics.inception import read_inception
from gantune.metrics.pixels import to_images
from gantune.metrics.spaces import Space, to_function
from gantune.sources.folder import ImageFiles
from gantune.sources.weights import find_inception

FloatArray = NDArray[np.float32]

CHUNK = 1000
"""Images that are looked at together, which bounds the memory that takes."""

SAMPLES = 1000
"""Real samples that metrics of pairs look at."""

TRAIN = 5000
"""Training samples among which copies are looked for."""

SAMPLE_SEED = 20_260_001


class FeatureInfo(NamedTuple):
    """Which feature space a number was measured in; shown with every number.

    Attributes:
        name: ``classifier``, ``random_conv``, ``pixels``, ``inception``, or ``coordinates`` of
            points.
        hash: Two distances compare only where it is equal.
        accuracy: The classifier's on images that were kept from it; None without one.
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
        classifier: Maps images to classes where there are labels; None for points.
        space: Maps images to features; None where samples are their own.
        mean: (d,) of the training data's features.
        covariance: (d, d).
        root: (d, d) its symmetric square root.
        class_share: (K,) share of each class in the training data; None without labels.
        centers: (K, 2) means of a mixture; None for images.
        std: Its components' standard deviation.
        features: (m, d) of a fixed sample of the training data: at most SAMPLES of it, or TRAIN
            where there are held-out samples to compare with.
        held: (h, d) of at most SAMPLES held-out samples; None without any.
    """

    info: FeatureInfo
    classifier: Classifier | None
    space: Space | None
    mean: NDArray[np.float64]
    covariance: NDArray[np.float64]
    root: NDArray[np.float64]
    class_share: NDArray[np.float64] | None
    centers: FloatArray | None
    std: float | None
    features: FloatArray
    held: FloatArray | None


class RealSide(NamedTuple):
    """The data that generated samples are compared with.

    Attributes:
        train: (n, C, H, W) images, bytes or floats in [-1, 1], maybe in files; or (n, 2) points.
        labels: (n,) classes; None where there are none.
        classes: Number of classes.
        holdout: Samples kept apart from training, maybe none.
        centers: (K, 2) means of a mixture's modes.
        std: Their standard deviation.
    """

    train: NDArray[Any] | ImageFiles
    labels: NDArray[np.int64] | None
    classes: int | None
    holdout: NDArray[Any]
    centers: FloatArray | None = None
    std: float | None = None


def make_reference(real: RealSide, classifier: Classifier | None, features: str) -> Reference:
    """Computes the real side of the metrics.

    Args:
        real: The data.
        classifier: Maps images to features, and to classes where there are labels; None for points.
        features: ``auto`` (the classifier's; points are their own), ``classifier``,
            ``random_conv``, ``pixels`` or ``inception``.

    Raises:
        DataError: Inception's weights are not there, or are no such weights.
    """
    with one_thread():
        space, info = _space(real, classifier, features)
        return _make_reference(real, classifier, space, info)


def _space(
    real: RealSide, classifier: Classifier | None, features: str
) -> tuple[Space | None, FeatureInfo]:
    """The network that makes features (None: the samples are their own), and its name."""
    shape, size = tuple(real.train.shape[1:]), len(real.train)
    if classifier is None:
        assert real.centers is not None
        mixture = real.centers.tobytes() + f"{real.std}".encode()
        return None, FeatureInfo("coordinates", _digest(mixture), None, size)
    if features == "pixels":
        return None, FeatureInfo("pixels", _digest(f"pixels {shape}".encode()), None, size)
    if features == "inception":
        inception = read_inception(find_inception())
        return inception, FeatureInfo("inception", inception.hash, None, size)
    if features == "random_conv":
        classifier = random_features(shape[0])
    name = "random_conv" if classifier.classes is None else "classifier"
    return classifier, FeatureInfo(name, classifier.hash, classifier.accuracy, size)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


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
    real: RealSide, classifier: Classifier | None, space: Space | None, info: FeatureInfo
) -> Reference:
    features = to_space(space, real.train)
    moments = features_to_moments(features)
    has_holdout = len(real.holdout) > 1
    order = np.random.default_rng(SAMPLE_SEED).permutation(len(features))
    kept = features[torch.from_numpy(order[: TRAIN if has_holdout else SAMPLES])]
    held = to_space(space, real.holdout[:SAMPLES]).float().numpy() if has_holdout else None
    share = None
    if real.labels is not None and real.classes is not None:
        # A class without an image counts as half of one, or its divergence would be infinite.
        counts = np.maximum(np.bincount(real.labels, minlength=real.classes), 0.5)
        share = counts / counts.sum()
    return Reference(
        info=info,
        classifier=classifier,
        space=space,
        mean=moments.mean.numpy(),
        covariance=moments.covariance.numpy(),
        root=matrix_root(moments.covariance).numpy(),
        class_share=share,
        centers=real.centers,
        std=real.std,
        features=kept.float().numpy(),
        held=held,
    )


@torch.no_grad()
def to_space(space: Space | None, samples: NDArray[Any] | ImageFiles) -> Tensor:
    """(n, d) features of samples: bytes or floats, in memory or in files; or points."""
    to_features = to_function(space, torch.device("cpu"))
    return torch.cat(
        [
            to_features(to_images(torch.from_numpy(samples[start : start + CHUNK])))
            for start in range(0, len(samples), CHUNK)
        ]
    )
