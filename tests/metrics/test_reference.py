"""The real side: a good classifier, made once, cached, the same every time."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from gantune.config import TrialConfig
from gantune.engine.data import load_dataset
from gantune.engine.materials import make_materials
from gantune.metrics.cache import cached_classifier
from gantune.metrics.evaluator import Evaluator
from gantune.metrics.reference import Reference
from gantune.parts.data import Digits, Ring
from gantune.storage import cache_dir

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def reference() -> Reference:
    return make_materials(TrialConfig()).reference


def test_the_digits_classifier_is_accurate(reference: Reference) -> None:
    assert reference.info.accuracy is not None and reference.info.accuracy >= 0.95
    assert reference.info.samples == 1797
    assert reference.mean.shape == (64,)


def test_a_second_use_reads_the_cache_and_a_damaged_cache_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GANTUNE_CACHE", str(tmp_path))
    data = load_dataset(Digits(limit=200))
    assert data.labels is not None
    made = cached_classifier(data.train, data.labels, 10)
    (file,) = tmp_path.iterdir()
    stamp = file.stat().st_mtime_ns
    assert cached_classifier(data.train, data.labels, 10).hash == made.hash
    assert file.stat().st_mtime_ns == stamp
    file.write_bytes(file.read_bytes()[:100])
    assert cached_classifier(data.train, data.labels, 10).hash == made.hash
    assert file.stat().st_mtime_ns != stamp


def test_a_cache_that_cannot_be_written_does_no_harm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("a file where the folder should be")
    monkeypatch.setenv("GANTUNE_CACHE", str(blocked))
    data = load_dataset(Digits(limit=100))
    assert data.labels is not None
    cached_classifier(data.train, data.labels, 10)


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GANTUNE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert cache_dir() == Path("/somewhere/gantune")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_dir() == Path(os.path.expanduser("~/.cache/gantune"))


def test_real_images_score_as_real(reference: Reference) -> None:
    images = torch.from_numpy(load_dataset(Digits()).train)
    scores = Evaluator(reference, CPU).score(images)
    assert scores["frechet_distance"] == pytest.approx(0, abs=1e-6)
    assert scores["modes"] == 10
    assert scores["mode_kl"] < 0.001 and scores["mode_entropy"] > 0.999
    assert 9 < scores["classifier_score"] <= 10


def test_collapsed_images_score_as_collapsed(reference: Reference) -> None:
    data = load_dataset(Digits())
    ones = torch.from_numpy(data.train[data.labels == 1])
    scores = Evaluator(reference, CPU).score(ones)
    assert scores["modes"] <= 2 and scores["mode_kl"] > 2
    assert scores["frechet_distance"] > 50


def test_points_are_scored_in_their_own_coordinates() -> None:
    data = load_dataset(Ring(points=2500))
    reference = make_materials(TrialConfig(data=Ring(points=2500))).reference
    scores = Evaluator(reference, CPU).score(torch.from_numpy(data.train))
    assert scores["modes"] == 8 and scores["high_quality"] > 0.98
    assert scores["frechet_distance"] == pytest.approx(0, abs=1e-9)
    assert "classifier_score" not in scores
    np.testing.assert_allclose(sum(scores["mode_histogram"]), 1)


def test_the_digits_are_those_of_scikit_learn() -> None:
    from sklearn.datasets import load_digits

    ours, theirs = load_dataset(Digits()), load_digits()
    np.testing.assert_array_equal(ours.train[:, 0] * 8 + 8, theirs.images)
    np.testing.assert_array_equal(ours.labels, theirs.target)


def test_parts_of_a_data_set_are_measured_in_the_same_features(reference: Reference) -> None:
    part = make_materials(TrialConfig(data=Digits(limit=300, holdout=0.2))).reference
    assert part.info.hash == reference.info.hash and part.info.samples == 240
    ring, wide = (make_materials(TrialConfig(data=Ring(std=s, points=100))) for s in (0.01, 0.1))
    assert ring.reference.info.hash != wide.reference.info.hash


def test_holdout_and_limit_are_fixed_samples() -> None:
    whole, part = load_dataset(Digits()), load_dataset(Digits(limit=100, holdout=0.2))
    assert len(part.train) == 80 and len(part.holdout) == 20
    rows = {image.tobytes() for image in whole.train}
    assert all(image.tobytes() in rows for image in part.train)
    again = load_dataset(Digits(limit=100, holdout=0.2))
    np.testing.assert_array_equal(part.train, again.train)
    assert not {i.tobytes() for i in part.train} & {i.tobytes() for i in part.holdout}
