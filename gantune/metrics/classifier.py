"""A small classifier trained on a data set itself: the features and classes of its images.

Made once per data set and version, cached with its hash, shared by all trials.
"""

import hashlib
import math
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

WIDTHS = (128, 64)
EPOCHS = 15
BATCH = 128
LEARNING_RATE = 4e-3
FOLDS = 5
VERSION = 1
"""Raise with any change to this file that changes the weights."""


class Classifier(NamedTuple):
    """A fully connected classifier.

    Attributes:
        weights: (out, in) of each layer.
        biases: (out,) of each layer.
        accuracy: Cross-validated accuracy of this recipe on the data.
    """

    weights: tuple[NDArray[np.float32], ...]
    biases: tuple[NDArray[np.float32], ...]
    accuracy: float

    @property
    def hash(self) -> str:
        """Names the exact feature space."""
        parts = [array.tobytes() for array in (*self.weights, *self.biases)]
        return hashlib.sha256(b"".join(parts)).hexdigest()[:16]


Layers = list[tuple[Tensor, Tensor]]


def to_layers(classifier: Classifier, device: torch.device) -> Layers:
    """The classifier's weights on a device."""
    pairs = zip(classifier.weights, classifier.biases, strict=True)
    return [(torch.tensor(w, device=device), torch.tensor(b, device=device)) for w, b in pairs]


def to_features(layers: Layers, images: Tensor) -> Tensor:
    """(n, C, H, W) images in [-1, 1] -> (n, d) activations of the last hidden layer."""
    hidden = images.flatten(1)
    for weight, bias in layers[:-1]:
        hidden = F.relu(F.linear(hidden, weight, bias))
    return hidden


def to_logits(layers: Layers, features: Tensor) -> Tensor:
    """(n, d) features -> (n, K) class logits."""
    return F.linear(features, *layers[-1])


def train_classifier(
    images: NDArray[np.float32], labels: NDArray[np.int64], classes: int
) -> Classifier:
    """Trains on all images, and once per fold for the accuracy that is recorded with it.

    Deterministic: the same images give the same weights on the same machine.

    Args:
        images: (n, C, H, W) in [-1, 1].
        labels: (n,) classes 0 to ``classes - 1``.
        classes: Number of classes.
    """
    x, y = torch.from_numpy(images).flatten(1), torch.from_numpy(labels)
    folds = torch.randperm(len(x), generator=torch.Generator().manual_seed(0)) % FOLDS
    right = 0
    for fold in range(FOLDS):
        layers = _fit(x[folds != fold], y[folds != fold], classes)
        logits = to_logits(layers, to_features(layers, x[folds == fold]))
        right += int((logits.argmax(1) == y[folds == fold]).sum())
    layers = _fit(x, y, classes)
    weights = tuple(weight.numpy() for weight, _ in layers)
    biases = tuple(bias.numpy() for _, bias in layers)
    return Classifier(weights, biases, accuracy=right / len(x))


def _fit(x: Tensor, y: Tensor, classes: int) -> Layers:
    rng = torch.Generator().manual_seed(1)
    widths = (x.shape[1], *WIDTHS, classes)
    layers: Layers = []
    for fan_in, fan_out in pairwise(widths):
        weight = torch.randn(fan_out, fan_in, generator=rng) * math.sqrt(2 / fan_in)
        layers.append((weight.requires_grad_(), torch.zeros(fan_out).requires_grad_()))
    params = [tensor for layer in layers for tensor in layer]
    optimizer = torch.optim.Adam(params, lr=LEARNING_RATE, weight_decay=1e-4)
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(x), generator=rng).split(BATCH):
            noisy = x[rows] + 0.1 * torch.randn(x[rows].shape, generator=rng)
            loss = F.cross_entropy(to_logits(layers, to_features(layers, noisy)), y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return [(weight.detach(), bias.detach()) for weight, bias in layers]
