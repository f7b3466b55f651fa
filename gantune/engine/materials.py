"""What trials share: the data set and the real side of the metrics, made once per study."""

import hashlib
from typing import NamedTuple

from gantune.config import TrialConfig
from gantune.engine.data import Dataset, load_dataset
from gantune.metrics.reference import Reference, cached_classifier, make_reference
from gantune.parts import Digits


class Materials(NamedTuple):
    """Plain arrays that any trial with the same ``data`` section can use."""

    key: str
    dataset: Dataset
    reference: Reference


def materials_key(config: TrialConfig) -> str:
    """Names the materials that a trial needs."""
    return hashlib.sha256(config.data.model_dump_json().encode()).hexdigest()[:16]


def make_materials(config: TrialConfig) -> Materials:
    """Loads the data and computes the real side of the metrics.

    Raises:
        DataError: The data cannot be used as the trial asks.
    """
    dataset = load_dataset(config.data)
    classifier = None
    if isinstance(config.data, Digits):
        # Of the whole set, so that studies of parts of it are measured in the same features.
        whole = load_dataset(Digits())
        assert whole.labels is not None and whole.classes is not None
        classifier = cached_classifier(whole.train, whole.labels, whole.classes)
    reference = make_reference(
        dataset.train, dataset.labels, dataset.classes, classifier, dataset.centers, dataset.std
    )
    return Materials(materials_key(config), dataset, reference)
