"""Features of images: trained, random, per channel; from bytes, floats and files alike."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from data_files import random_images, two_classes, write_idx

from gantune.config import TrialConfig
from gantune.engine import materials
from gantune.engine.data import load_dataset, to_images
from gantune.engine.materials import make_materials
from gantune.metrics import reference as references
from gantune.metrics.cache import cached_classifier
from gantune.metrics.classifier import to_features, to_layers, to_logits
from gantune.metrics.evaluator import Evaluator
from gantune.metrics.fit import random_features
from gantune.metrics.reference import RealSide, Reference, make_reference, to_space
from gantune.parts.data import AnyData, Digits, Idx, ImageFolder, Npz, StackedMnist

CPU = torch.device("cpu")
LABELS = np.arange(60, dtype=np.uint8) % 10


def reference_of(options: AnyData) -> Reference:
    return make_materials(TrialConfig(data=options)).reference


@pytest.fixture(scope="module")
def real(mnist10k: Path) -> Idx:
    return Idx(root=str(mnist10k))


@pytest.mark.slow
def test_the_classifier_of_real_digits_is_accurate_and_quick(real: Idx) -> None:
    began = time.process_time()
    reference = reference_of(real)
    assert time.process_time() - began < 45
    assert reference.info.name == "classifier" and reference.info.samples == 10_000
    assert reference.info.accuracy is not None and reference.info.accuracy >= 0.97
    assert reference.mean.shape == (64,)
    assert reference.classifier is not None
    assert [layer.kind for layer in reference.classifier.layers] == [
        "conv",
        "conv",
        *["linear"] * 2,
    ]


@pytest.mark.slow
def test_real_digits_score_as_real_and_noise_does_not(real: Idx) -> None:
    evaluator = Evaluator(reference_of(real), CPU)
    images = to_images(torch.from_numpy(load_dataset(real).train))
    scores = evaluator.score(images)
    assert scores["frechet_distance"] == pytest.approx(0, abs=1e-3)
    assert scores["modes"] == 10 and scores["mode_kl"] < 0.001 and scores["classifier_score"] > 9
    noise = torch.rand(500, 1, 28, 28, generator=torch.Generator().manual_seed(0)) * 2 - 1
    assert evaluator.score(noise)["frechet_distance"] > 50


@pytest.mark.slow
def test_a_part_is_measured_in_the_features_of_the_whole(real: Idx) -> None:
    part = reference_of(real.model_copy(update={"limit": 500, "holdout": 0.2}))
    assert part.info.hash == reference_of(real).info.hash and part.info.samples == 400


@pytest.mark.slow
def test_a_convolutional_classifier_comes_back_from_the_cache(tmp_path: Path) -> None:
    data = load_dataset(Idx(root=str(write_idx(tmp_path, random_images(60, 12, 12), LABELS))))
    assert data.labels is not None and isinstance(data.train, np.ndarray)
    made, found = (cached_classifier(data.train, data.labels, 10) for _ in range(2))
    assert found.hash == made.hash and found.accuracy == made.accuracy
    assert found.classes == 10 and [a.kind for a in found.layers] == [a.kind for a in made.layers]


@pytest.mark.slow
def test_bytes_floats_and_any_chunk_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    images, labels = random_images(60, 3, 12, 10), LABELS.astype(np.int64)
    classifier = cached_classifier(images, labels, 10)
    floats = to_images(torch.from_numpy(images)).numpy()
    one, other = (
        make_reference(RealSide(a, labels, 10, a[:0]), classifier, "auto") for a in (images, floats)
    )
    monkeypatch.setattr(references, "CHUNK", 7)
    chunked = make_reference(RealSide(images, labels, 10, images[:0]), classifier, "auto")
    for reference in (other, chunked):
        np.testing.assert_allclose(reference.mean, one.mean, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(reference.covariance, one.covariance, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_files_are_measured_as_images_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = ImageFolder(root=str(two_classes(tmp_path, count=30, side=12)))
    files = folder.model_copy(update={"workers": 1})
    memory, streamed = reference_of(folder), reference_of(files)
    assert memory.info == streamed.info
    np.testing.assert_array_equal(memory.covariance, streamed.covariance)
    # Too many to read: a fixed part of them trains the classifier.
    monkeypatch.setattr(materials, "MAX_STREAMED", 20)
    few, again = reference_of(files), reference_of(files)
    assert few.info.hash == again.info.hash != streamed.info.hash and few.info.samples == 60


def test_images_without_labels_have_random_features_and_no_modes(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", images=random_images(50, 16, 16, 3))
    made = make_materials(TrialConfig(data=Npz(root=str(tmp_path / "x.npz"))))
    reference = made.reference
    assert reference.info.name == "random_conv" and reference.info.accuracy is None
    assert reference.class_share is None and reference.mean.shape == (64,)
    images = to_images(torch.tensor(made.dataset.train[:]))
    scores = Evaluator(reference, CPU).score(images)
    manifold = {"precision", "recall", "density", "coverage"}
    others = {"frechet_distance", "kernel_distance", "vendi", "pair_distance_ratio"}
    assert set(scores) == manifold | others
    assert scores["pair_distance_ratio"] == pytest.approx(1, abs=1e-9)
    assert scores["frechet_distance"] == pytest.approx(0, abs=1e-6)
    flat = images.mean((2, 3), keepdim=True).expand_as(images)
    assert Evaluator(reference, CPU).score(flat)["frechet_distance"] > 0.1


def test_random_features_are_the_same_everywhere_and_tell_digits_apart(real: Idx) -> None:
    assert random_features(1).hash == random_features(1).hash != random_features(3).hash
    data = load_dataset(real.model_copy(update={"limit": 2000}))
    features = to_space(random_features(1), data.train)
    labels = torch.from_numpy(data.labels)
    means = torch.stack([features[labels == k].mean(0) for k in range(10)])
    nearest = torch.cdist((features - features.mean(0)), means - features.mean(0)).argmin(1)
    assert float((nearest == labels).double().mean()) > 0.4


@pytest.mark.slow
def test_stacks_are_seen_channel_by_channel(real: Idx) -> None:
    options = StackedMnist(root=real.root, points=3000)
    made = make_materials(TrialConfig(data=options))
    reference, digits = made.reference, reference_of(real)
    assert reference.mean.shape == (192,) and reference.info.accuracy == digits.info.accuracy
    assert reference.info.hash != digits.info.hash
    assert reference.classifier is not None and digits.classifier is not None
    stacks = to_images(torch.tensor(made.dataset.train[:300]))
    layers, single = (to_layers(r.classifier, CPU) for r in (reference, digits) if r.classifier)
    logits = to_logits(layers, to_features(layers, stacks))
    classes = [to_logits(single, to_features(single, stacks[:, [k]])).argmax(1) for k in range(3)]
    assert logits.argmax(1).equal(100 * classes[0] + 10 * classes[1] + classes[2])
    assert made.dataset.labels is not None
    right = logits.argmax(1).numpy() == made.dataset.labels[:300]
    assert right.mean() > 0.9
    torch.testing.assert_close(logits.exp().sum(1), torch.ones(300))
    scores = Evaluator(reference, CPU).score(stacks)
    assert scores["modes"] > 200 and len(scores["mode_histogram"]) == 1000
    assert np.isfinite(scores["mode_kl"])


def test_a_class_that_a_sample_lacks_is_not_infinitely_bad() -> None:
    made = make_materials(TrialConfig(data=Digits(limit=5)))
    whole = load_dataset(Digits())
    scores: dict[str, Any] = Evaluator(made.reference, CPU).score(torch.tensor(whole.train[:]))
    assert np.isfinite(scores["mode_kl"]) and scores["mode_kl"] > 0.1
    assert made.reference.class_share is not None
    assert made.reference.class_share.sum() == pytest.approx(1)
