"""What trials share: the data set and the real side of the metrics, made once per study."""

import hashlib
from typing import NamedTuple

import numpy as np

from gantune.config import TrialConfig
from gantune.engine.data import Dataset, load_source
from gantune.engine.datasets.base import SAMPLE_SEED, Source, split
from gantune.engine.datasets.files import stacked_digits
from gantune.engine.networks import build_discriminator, build_generator
from gantune.metrics.cache import cached_classifier
from gantune.metrics.classifier import Classifier
from gantune.metrics.fit import random_features
from gantune.metrics.reference import RealSide, Reference, make_reference
from gantune.parts.data import AnyData, Idx, StackedMnist
from gantune.sources import SourceInfo, source_info
from gantune.sources.folder import ImageFiles

MAX_STREAMED = 20_000
"""Images of a set in files that its classifier is trained on."""


class Materials(NamedTuple):
    """Plain arrays that any trial with the same ``data`` section can use."""

    key: str
    info: SourceInfo
    dataset: Dataset
    reference: Reference


def materials_key(config: TrialConfig) -> str:
    """Names the materials that a trial needs."""
    text = f"{config.data.model_dump_json()} {config.eval.features}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def make_materials(config: TrialConfig) -> Materials:
    """Loads the data and computes the real side of the metrics.

    Raises:
        DataError: The data cannot be used as the trial asks.
        UsageError: An extension makes no network of it.
    """
    source = load_source(config.data)
    shape = tuple(source.samples.shape[1:])
    build_generator(config, shape)
    build_discriminator(config, shape)
    dataset = split(source, config.data)
    classifier = None if source.centers is not None else _classifier(source, config.data)
    real = RealSide(
        dataset.train,
        dataset.labels,
        dataset.classes,
        dataset.holdout,
        dataset.centers,
        dataset.std,
    )
    reference = make_reference(real, classifier, config.eval.features)
    return Materials(materials_key(config), source_info(config.data), dataset, reference)


def _classifier(source: Source, options: AnyData) -> Classifier:
    """Of the whole set, so that studies of parts of it are measured in the same features."""
    if isinstance(options, StackedMnist):
        one = _classifier(stacked_digits(options), Idx(root=options.root))
        return one._replace(classes=source.classes, per_channel=True)
    if source.labels is None or source.classes is None:
        return random_features(source.samples.shape[1])
    images, labels = source.samples, source.labels
    if isinstance(images, ImageFiles):
        rows = np.random.default_rng(SAMPLE_SEED).permutation(len(images))[:MAX_STREAMED]
        images, labels = images[np.sort(rows)], labels[np.sort(rows)]
    return cached_classifier(images, labels, source.classes)
