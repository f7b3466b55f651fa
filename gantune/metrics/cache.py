"""Classifiers of data sets, kept on disk between studies."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from gantune.metrics import classifier as classifiers
from gantune.metrics.classifier import Classifier, Layer
from gantune.metrics.fit import train_classifier
from gantune.metrics.reference import one_thread
from gantune.storage import cache_dir, write_atomically


def cached_classifier(train: NDArray[Any], labels: NDArray[np.int64], classes: int) -> Classifier:
    """The classifier of a whole data set, trained at its first use on this machine.

    Args:
        train: (n, C, H, W) images, bytes or floats in [-1, 1].
        labels: (n,) classes.
        classes: Number of classes.
    """
    content = hashlib.sha256(np.ascontiguousarray(train).data.cast("B"))
    content.update(np.ascontiguousarray(labels).data.cast("B"))
    # Bytes can be the same in other shapes.
    shape = "" if train.dtype == np.float32 else f"{train.shape}/"
    content.update(f"{shape}{classifiers.VERSION}/{classes}".encode())
    path = cache_dir() / f"classifier-{content.hexdigest()[:16]}.safetensors"
    found = _read_classifier(path)
    if found is not None:
        return found
    with one_thread():
        made = train_classifier(train, labels, classes)
    arrays = {f"{i}.{layer.kind}.weight": layer.weight for i, layer in enumerate(made.layers)}
    arrays |= {f"{i}.{layer.kind}.bias": layer.bias for i, layer in enumerate(made.layers)}
    try:
        data = safetensors.numpy.save(
            arrays, {"accuracy": repr(made.accuracy), "classes": f"{classes}"}
        )
        write_atomically(path, data)
    except OSError:
        pass  # a cache that cannot be written costs time, nothing else
    return made


def _read_classifier(path: Path) -> Classifier | None:
    try:
        with safe_open(path, framework="numpy") as file:
            facts = file.metadata()
            names = sorted(name for name in file.keys() if name.endswith(".weight"))
            layers = tuple(
                Layer(
                    name.split(".")[1],
                    file.get_tensor(name),
                    file.get_tensor(name.removesuffix("weight") + "bias"),
                )
                for name in names
            )
            return Classifier(layers, int(facts["classes"]), float(facts["accuracy"]))
    except (FileNotFoundError, SafetensorError, KeyError, OSError):
        return None
