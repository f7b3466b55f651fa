"""From images to features, whatever network makes them."""

from collections.abc import Callable

import torch
from torch import Tensor

from gantune.metrics import classifier as classifiers
from gantune.metrics.classifier import Classifier
from gantune.metrics.inception import Inception, inception_features, to_network

Space = Classifier | Inception
"""A network that makes features, as plain arrays."""

ToFeatures = Callable[[Tensor], Tensor]
"""(n, C, H, W) images in [-1, 1], or (n, 2) points, on its device -> (n, d) features."""


def to_function(space: Space | None, device: torch.device) -> ToFeatures:
    """What makes features on a device; without a network samples are their own."""
    if space is None:
        return lambda samples: samples.flatten(1)
    if isinstance(space, Inception):
        network = to_network(space, device)
        return lambda images: inception_features(network, images)
    layers = classifiers.to_layers(space, device)
    return lambda images: classifiers.to_features(layers, images)
