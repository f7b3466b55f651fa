"""Makes the small networks of :mod:`gantune.metrics.classifier`, the same ones every time."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from gantune.metrics.classifier import (
    Classifier,
    Layer,
    Layers,
    TensorLayer,
    to_features,
    to_logits,
)
from gantune.metrics.pixels import to_images

SMALL = 64
WIDTHS = (128, 64)
EPOCHS = 15
BATCH = 128
LEARNING_RATE = 4e-3
FOLDS = 5

CONV_WIDTHS = (16, 32)
CONV_FEATURES = 64
CONV_EPOCHS = 12
CONV_STEPS = (300, 1500)
CONV_LEARNING_RATE = 5e-3
HELD_OUT = 0.2

RANDOM_WIDTHS = (16, 32, 32)
RANDOM_SEED = 20_260_000

Recipe = Callable[[Tensor, Tensor, int], Layers]


def train_classifier(images: NDArray[Any], labels: NDArray[np.int64], classes: int) -> Classifier:
    """Trains a classifier, and measures how good it is on images that were kept from it.

    Deterministic: the same images give the same weights on the same machine.

    Args:
        images: (n, C, H, W), bytes or floats in [-1, 1], n >= 2.
        labels: (n,) classes 0 to ``classes - 1``.
        classes: Number of classes.
    """
    x, y = torch.from_numpy(images), torch.from_numpy(labels)
    if math.prod(images.shape[2:]) <= SMALL:
        return _cross_validated(to_images(x).flatten(1), y, classes)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    held = max(1, round(HELD_OUT * len(x)))
    layers = _fit_conv(x[order[held:]], y[order[held:]], classes)
    right = _count_right(layers, x[order[:held]], y[order[:held]])
    return _as_classifier(layers, classes, right / held)


def _cross_validated(x: Tensor, y: Tensor, classes: int) -> Classifier:
    """Trains on all images, and once per fold for the accuracy that is recorded with it."""
    folds = torch.randperm(len(x), generator=torch.Generator().manual_seed(0)) % FOLDS
    right = 0
    for fold in range(min(FOLDS, len(x))):
        layers = _fit_linear(x[folds != fold], y[folds != fold], classes)
        right += _count_right(layers, x[folds == fold], y[folds == fold])
    return _as_classifier(_fit_linear(x, y, classes), classes, right / len(x))


def random_features(channels: int) -> Classifier:
    """Random convolutions, for images that have no classes; the same ones everywhere.

    Args:
        channels: Of the images.
    """
    rng = torch.Generator().manual_seed(RANDOM_SEED)
    layers = [
        _layer("conv", (width, fan_in, 3, 3), rng)
        for fan_in, width in zip((channels, *RANDOM_WIDTHS), RANDOM_WIDTHS, strict=False)
    ]
    return _as_classifier(Layers(layers, None), None, None)


def _fit_linear(x: Tensor, y: Tensor, classes: int) -> Layers:
    rng = torch.Generator().manual_seed(1)
    widths = (x.shape[1], *WIDTHS, classes)
    shapes = zip(widths[1:], widths, strict=False)
    *hidden, head = [_layer("linear", shape, rng) for shape in shapes]
    layers = Layers(hidden, head)
    optimizer = torch.optim.Adam(_weights(layers), lr=LEARNING_RATE, weight_decay=1e-4)
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(x), generator=rng).split(BATCH):
            _step(layers, optimizer, x[rows], y[rows], rng)
    return layers


def _fit_conv(x: Tensor, y: Tensor, classes: int) -> Layers:
    """By number of steps: a large set needs no more of them than it has variety."""
    rng = torch.Generator().manual_seed(1)
    channels, *side = x.shape[1:]
    hidden = []
    for fan_in, width in zip((channels, *CONV_WIDTHS), CONV_WIDTHS, strict=False):
        hidden.append(_layer("conv", (width, fan_in, 3, 3), rng))
        side = [-(-pixels // 2) for pixels in side]
    flat = CONV_WIDTHS[-1] * math.prod(side)
    hidden.append(_layer("linear", (CONV_FEATURES, flat), rng))
    layers = Layers(hidden, _layer("linear", (classes, CONV_FEATURES), rng))
    fewest, most = CONV_STEPS
    steps = min(max(CONV_EPOCHS * -(-len(x) // BATCH), fewest), most)
    optimizer = torch.optim.Adam(_weights(layers), lr=CONV_LEARNING_RATE, weight_decay=1e-4)
    for step, rows in zip(range(steps), _forever(len(x), rng), strict=False):
        for group in optimizer.param_groups:
            group["lr"] = CONV_LEARNING_RATE * _warm_then_falling(step / steps)
        _step(layers, optimizer, to_images(x[rows]), y[rows], rng)
    return layers


def _warm_then_falling(progress: float) -> float:
    """Factor on the learning rate: up for a tenth of the steps, then down to nothing."""
    return min(progress * 10, 1) * (1 + math.cos(math.pi * progress)) / 2


def _forever(count: int, rng: torch.Generator) -> Iterator[Tensor]:
    while True:
        yield from torch.randperm(count, generator=rng).split(BATCH)


def _layer(kind: str, shape: tuple[int, ...], rng: torch.Generator) -> TensorLayer:
    weight = torch.randn(shape, generator=rng) * math.sqrt(2 / math.prod(shape[1:]))
    return TensorLayer(kind, weight.requires_grad_(), torch.zeros(shape[0]).requires_grad_())


def _weights(layers: Layers) -> list[Tensor]:
    assert layers.head is not None
    return [
        tensor for layer in (*layers.hidden, layers.head) for tensor in (layer.weight, layer.bias)
    ]


def _step(
    layers: Layers, optimizer: torch.optim.Adam, x: Tensor, y: Tensor, rng: torch.Generator
) -> None:
    noisy = x + 0.1 * torch.randn(x.shape, generator=rng)
    loss = F.cross_entropy(to_logits(layers, to_features(layers, noisy)), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


@torch.no_grad()
def _count_right(layers: Layers, x: Tensor, y: Tensor) -> int:
    parts = zip(x.split(1000), y.split(1000), strict=True)
    guesses = [
        (to_logits(layers, to_features(layers, to_images(a))).argmax(1), b) for a, b in parts
    ]
    return sum(int((guess == right).sum()) for guess, right in guesses)


def _as_classifier(layers: Layers, classes: int | None, accuracy: float | None) -> Classifier:
    tensors = [*layers.hidden, *([layers.head] if layers.head else [])]
    arrays = tuple(
        Layer(layer.kind, layer.weight.detach().numpy(), layer.bias.detach().numpy())
        for layer in tensors
    )
    return Classifier(arrays, classes, accuracy)
