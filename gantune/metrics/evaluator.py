"""Scores a batch of generated samples with every metric that applies."""

from collections.abc import Callable, Collection
from typing import Any

import torch
from torch import Tensor

from gantune.metrics import classifier as classifiers
from gantune.metrics.distances import (
    Moments,
    classifier_score,
    features_to_moments,
    kernel_between,
    kernel_within,
    moments_to_frechet,
)
from gantune.metrics.manifold import (
    NEIGHBOURS,
    compare_manifolds,
    compare_splits,
    to_manifold,
    to_splits,
    vendi_score,
)
from gantune.metrics.modes import counts_to_statistics, mean_pair_distance, mixture_statistics
from gantune.metrics.reference import SAMPLES, Reference, one_thread
from gantune.metrics.spaces import to_function

Scores = dict[str, Any]

PRECISION = torch.float32
"""Of metrics of pairs: twice as fast as float64, and far below their noise at these samples."""


class Evaluator:
    """Holds the real side on the device and scores generated samples against it."""

    def __init__(self, reference: Reference, device: torch.device) -> None:
        self._reference = reference
        # Apple's devices have no float64.
        self._device = torch.device("cpu") if device.type == "mps" else device
        self._moments = Moments(
            torch.tensor(reference.mean, device=self._device),
            torch.tensor(reference.covariance, device=self._device),
        )
        self._root = torch.tensor(reference.root, device=self._device)
        self._classifier = (
            None
            if reference.classifier is None
            else classifiers.to_layers(reference.classifier, self._device)
        )
        self._to_features = to_function(reference.space, self._device)
        self._same_space = reference.classifier is reference.space
        if reference.centers is not None:
            self._centers = torch.tensor(reference.centers, device=self._device)
        with one_thread():
            self._prepare(torch.tensor(reference.features, device=self._device))
        groups: dict[str, Callable[[Tensor, Tensor], Scores] | None] = {
            "frechet_distance": self._frechet,
            "kernel_distance": self._kernel,
            "classifier_score": self._classifier_score if self._has_classes else None,
            "manifold": self._compare if len(self._real) > NEIGHBOURS else None,
            "vendi": self._vendi,
            "pair_distance_ratio": None if self._has_modes else self._pair_distance,
            "modes": self._modes if self._has_modes else None,
            "nearest_neighbor_ratio": self._nearest if self._splits else None,
        }
        self._groups = {name: score for name, score in groups.items() if score is not None}

    @property
    def _has_classes(self) -> bool:
        return self._reference.classifier is not None and self._reference.class_share is not None

    @property
    def _has_modes(self) -> bool:
        return self._has_classes or self._reference.centers is not None

    def _prepare(self, features: Tensor) -> None:
        """The real side of metrics of pairs."""
        self._real = features[:SAMPLES]
        self._real_within = kernel_within(self._real, dtype=PRECISION)
        self._real_spread = mean_pair_distance(self._real)
        if len(self._real) > NEIGHBOURS:
            self._manifold = to_manifold(self._real, dtype=PRECISION)
        held = self._reference.held
        self._splits = None
        if held is not None:
            self._splits = to_splits(features, torch.tensor(held, device=self._device))

    def score(self, samples: Tensor, wanted: Collection[str] | None = None) -> Scores:
        """Scores samples.

        Args:
            samples: (n, C, H, W) images in [-1, 1] or (n, 2) points, n >= 2, all finite.
            wanted: Groups of metrics; None for all that apply.

        Returns:
            Values by column name; a metric that does not apply is absent.
        """
        samples = samples.to(self._device)
        features = self._to_features(samples)
        scores: Scores = {}
        for name, score in self._groups.items():
            if wanted is None or name in wanted:
                scores |= score(samples, features)
        return scores

    def _frechet(self, samples: Tensor, features: Tensor) -> Scores:
        fake = features_to_moments(features)
        return {"frechet_distance": moments_to_frechet(self._moments, self._root, fake)}

    def _kernel(self, samples: Tensor, features: Tensor) -> Scores:
        fake = features[:SAMPLES]
        between = kernel_between(self._real, fake, dtype=PRECISION)
        distance = self._real_within + kernel_within(fake, dtype=PRECISION) - 2 * between
        return {"kernel_distance": distance}

    def _classifier_score(self, samples: Tensor, features: Tensor) -> Scores:
        return {"classifier_score": classifier_score(self._logits(samples, features))}

    def _compare(self, samples: Tensor, features: Tensor) -> Scores:
        if len(features) <= NEIGHBOURS:
            return {}
        return dict(compare_manifolds(self._manifold, features[:SAMPLES]))

    def _vendi(self, samples: Tensor, features: Tensor) -> Scores:
        return {"vendi": vendi_score(features[:SAMPLES])}

    def _pair_distance(self, samples: Tensor, features: Tensor) -> Scores:
        if not self._real_spread:
            return {}
        return {"pair_distance_ratio": mean_pair_distance(features[:SAMPLES]) / self._real_spread}

    def _modes(self, samples: Tensor, features: Tensor) -> Scores:
        reference = self._reference
        if reference.centers is not None:
            assert reference.std is not None
            return mixture_statistics(samples, self._centers, reference.std)._asdict()
        assert reference.class_share is not None
        share = torch.from_numpy(reference.class_share)
        logits = self._logits(samples, features)
        counts = torch.bincount(logits.argmax(1), minlength=len(share)).cpu()
        return counts_to_statistics(counts, share)._asdict()

    def _logits(self, samples: Tensor, features: Tensor) -> Tensor:
        assert self._classifier is not None
        if not self._same_space:
            features = classifiers.to_features(self._classifier, samples)
        return classifiers.to_logits(self._classifier, features)

    def _nearest(self, samples: Tensor, features: Tensor) -> Scores:
        assert self._splits is not None
        return {"nearest_neighbor_ratio": compare_splits(self._splits, features[:SAMPLES])}
