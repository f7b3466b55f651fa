"""Scores a batch of generated samples with every metric that applies."""

from typing import Any

import torch
from torch import Tensor

from gantune.metrics import classifier as classifiers
from gantune.metrics.distances import (
    Moments,
    classifier_score,
    features_to_moments,
    moments_to_frechet,
)
from gantune.metrics.modes import ModeStatistics, counts_to_statistics, mixture_statistics
from gantune.metrics.reference import Reference

Scores = dict[str, Any]


class Evaluator:
    """Holds the real side on the device and scores generated samples against it."""

    def __init__(self, reference: Reference, device: torch.device) -> None:
        self._reference = reference
        self._moments = Moments(
            torch.tensor(reference.mean, device=device),
            torch.tensor(reference.covariance, device=device),
        )
        self._root = torch.tensor(reference.root, device=device)
        if reference.classifier is not None:
            self._layers = classifiers.to_layers(reference.classifier, device)
        if reference.centers is not None:
            self._centers = torch.tensor(reference.centers, device=device)

    def score(self, samples: Tensor) -> Scores:
        """Scores samples.

        Args:
            samples: (n, C, H, W) images in [-1, 1] or (n, 2) points, n >= 2, all finite.

        Returns:
            Values by column name; a metric that does not apply is absent.
        """
        if self._reference.classifier is None:
            return self._score_points(samples)
        return self._score_images(samples)

    def _score_images(self, samples: Tensor) -> Scores:
        features = classifiers.to_features(self._layers, samples)
        logits = classifiers.to_logits(self._layers, features)
        assert self._reference.class_share is not None
        share = torch.from_numpy(self._reference.class_share)
        counts = torch.bincount(logits.argmax(1), minlength=len(share)).cpu()
        return {
            "frechet_distance": self._frechet(features),
            "classifier_score": classifier_score(logits),
            **_as_scores(counts_to_statistics(counts, share)),
        }

    def _score_points(self, samples: Tensor) -> Scores:
        assert self._reference.std is not None
        statistics = mixture_statistics(samples, self._centers, self._reference.std)
        return {"frechet_distance": self._frechet(samples), **_as_scores(statistics)}

    def _frechet(self, features: Tensor) -> float:
        return moments_to_frechet(self._moments, self._root, features_to_moments(features))


def _as_scores(statistics: ModeStatistics) -> Scores:
    return statistics._asdict()
