"""A small network that gives images features: trained on the data set itself, or random.

Made once per data set and version, cached with its hash, shared by all trials. Images of at most
8x8 get a fully connected classifier, larger ones a convolutional one, images without labels random
convolutions. Stacked digits are seen by the digits' classifier, channel by channel.
"""

import hashlib
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

VERSION = 1
"""Raise with any change here or in ``fit`` that changes the weights."""


class Layer(NamedTuple):
    """A layer of plain arrays.

    Attributes:
        kind: ``linear``, or ``conv``: 3x3 with stride 2 and padding 1.
        weight: (out, in) or (out, in, 3, 3).
        bias: (out,).
    """

    kind: str
    weight: NDArray[np.float32]
    bias: NDArray[np.float32]


class Classifier(NamedTuple):
    """A network with a ReLU after each layer of features.

    Attributes:
        layers: In order of application; where there are classes the last one gives their logits.
        classes: Number of classes of the whole; None: it has features only.
        accuracy: Measured on data that it, or one made by the same recipe, was not trained on;
            None without classes.
        per_channel: It sees one channel at a time: features are put side by side, and the class
            of three channels is 100a + 10b + c.
    """

    layers: tuple[Layer, ...]
    classes: int | None
    accuracy: float | None
    per_channel: bool = False

    @property
    def hash(self) -> str:
        """Names the exact feature space."""
        arrays = [layer.weight for layer in self.layers] + [layer.bias for layer in self.layers]
        parts = [array.tobytes() for array in arrays]
        return hashlib.sha256(b"".join(parts) + b"per channel" * self.per_channel).hexdigest()[:16]


class TensorLayer(NamedTuple):
    """A layer on a device."""

    kind: str
    weight: Tensor
    bias: Tensor


class Layers(NamedTuple):
    """A classifier on a device.

    Attributes:
        hidden: The layers of features.
        head: The layer of logits; None without classes.
        per_channel: As of the classifier.
    """

    hidden: list[TensorLayer]
    head: TensorLayer | None
    per_channel: bool = False


def to_layers(classifier: Classifier, device: torch.device) -> Layers:
    """The classifier's weights on a device."""
    layers = [
        TensorLayer(
            layer.kind,
            torch.tensor(layer.weight, device=device),
            torch.tensor(layer.bias, device=device),
        )
        for layer in classifier.layers
    ]
    if classifier.classes is None:
        return Layers(layers, None, classifier.per_channel)
    return Layers(layers[:-1], layers[-1], classifier.per_channel)


def to_features(layers: Layers, images: Tensor) -> Tensor:
    """(n, C, H, W) images in [-1, 1] -> (n, d) activations of the last hidden layer."""
    if layers.per_channel:
        apart = to_features(layers._replace(per_channel=False), images.flatten(0, 1)[:, None])
        return apart.reshape(len(images), -1)
    hidden = images
    for layer in layers.hidden:
        if layer.kind == "conv":
            hidden = F.relu(F.conv2d(hidden, layer.weight, layer.bias, stride=2, padding=1))
        else:
            hidden = F.relu(F.linear(hidden.flatten(1), layer.weight, layer.bias))
    if hidden.dim() == 4:  # no linear layer: what is there, and how much of it
        return torch.cat([hidden.amax((2, 3)), hidden.mean((2, 3))], 1)
    return hidden


def to_logits(layers: Layers, features: Tensor) -> Tensor:
    """(n, d) features -> (n, K) class logits."""
    head = layers.head
    assert head is not None, "only a classifier has logits"
    if not layers.per_channel:
        return F.linear(features, head.weight, head.bias)
    parts = features.unflatten(1, (-1, head.weight.shape[1]))
    # Channels are independent: the log-probability of a stack is the sum of its digits'.
    logs = F.linear(parts, head.weight, head.bias).log_softmax(-1)
    a, b, c = logs.unbind(1)
    total: Tensor = a[:, :, None, None] + b[:, None, :, None] + c[:, None, None, :]
    return total.flatten(1)
