"""The evaluator's numbers are the pure functions' on the same samples, in float64."""

from typing import Any

import pytest
import torch
from torch import Tensor

from gantune.config import TrialConfig
from gantune.engine.materials import make_materials
from gantune.metrics.classifier import to_features, to_layers, to_logits
from gantune.metrics.distances import classifier_score, frechet_distance, kernel_distance
from gantune.metrics.evaluator import Evaluator
from gantune.metrics.manifold import (
    nearest_neighbor_ratio,
    precision_recall_density_coverage,
    vendi_score,
)
from gantune.metrics.modes import mixture_statistics
from gantune.metrics.pixels import to_images
from gantune.study import with_values

CPU = torch.device("cpu")

# How far float32 and fixed subsets may take the evaluator from float64.
TOLERANCES = {
    "frechet_distance": 1e-6,
    "kernel_distance": 1e-3,
    "classifier_score": 1e-9,
    "precision": 2e-3,
    "recall": 2e-3,
    "density": 2e-3,
    "coverage": 2e-3,
    "vendi": 1e-9,
    "nearest_neighbor_ratio": 1e-6,
}


def digits(**changes: Any) -> tuple[Any, Tensor]:
    config = with_values(TrialConfig(), {"data.holdout": 0.2, **changes})
    made = make_materials(config)
    rng = torch.Generator().manual_seed(0)
    real = to_images(torch.tensor(made.dataset.train[:1000]))
    return made, (real + 0.6 * torch.randn(real.shape, generator=rng)).clamp(-1, 1)


def test_every_metric_of_images_is_the_pure_functions() -> None:
    made, fake = digits()
    scores = Evaluator(made.reference, CPU).score(fake)
    layers = to_layers(made.reference.classifier, CPU)
    features = to_features(layers, fake)
    whole = to_features(layers, to_images(torch.tensor(made.dataset.train)))
    held = to_features(layers, to_images(torch.tensor(made.dataset.holdout)))
    sample = torch.tensor(made.reference.features)[:1000]
    expected = {
        "frechet_distance": frechet_distance(whole, features),
        "kernel_distance": kernel_distance(sample, features),
        "classifier_score": classifier_score(to_logits(layers, features)),
        **precision_recall_density_coverage(sample, features),
        "vendi": vendi_score(features),
        "nearest_neighbor_ratio": nearest_neighbor_ratio(features, whole, held),
    }
    assert set(expected) == set(TOLERANCES)
    for name, tolerance in TOLERANCES.items():
        assert scores[name] == pytest.approx(expected[name], rel=tolerance, abs=tolerance), name


def test_every_metric_of_points_is_the_pure_functions() -> None:
    made = make_materials(with_values(TrialConfig(), {"data.name": "ring", "data.points": 3000}))
    rng = torch.Generator().manual_seed(0)
    fake = torch.tensor(made.dataset.train[:2500]) + 0.02 * torch.randn(2500, 2, generator=rng)
    scores = Evaluator(made.reference, CPU).score(fake)
    statistics = mixture_statistics(fake, torch.tensor(made.reference.centers), 0.01)
    for name, value in statistics._asdict().items():
        assert scores[name] == value
    assert "classifier_score" not in scores and "pair_distance_ratio" not in scores


def test_only_what_is_wanted_is_computed() -> None:
    made, fake = digits()
    scores = Evaluator(made.reference, CPU).score(fake, ["frechet_distance", "manifold"])
    manifold = {"precision", "recall", "density", "coverage"}
    assert set(scores) == {"frechet_distance"} | manifold


@pytest.mark.parametrize("name", ["random_conv", "pixels"])
def test_other_features_have_another_name_and_hash_and_the_same_modes(name: str) -> None:
    auto, fake = digits()
    other, _ = digits(**{"eval.features": name})
    assert other.key != auto.key
    assert other.reference.info.name == name != auto.reference.info.name
    assert other.reference.info.hash != auto.reference.info.hash
    ours, theirs = (Evaluator(made.reference, CPU).score(fake) for made in (other, auto))
    assert ours["mode_histogram"] == theirs["mode_histogram"]
    assert ours["classifier_score"] == theirs["classifier_score"]
    assert ours["frechet_distance"] != pytest.approx(theirs["frechet_distance"], rel=0.1)


def test_samples_of_one_kind_are_scored_without_complaint() -> None:
    """A collapsed generator: all samples alike, no covariance, no neighbours apart."""
    made, fake = digits()
    scores = Evaluator(made.reference, CPU).score(fake[:1].expand(1000, -1, -1, -1))
    assert scores["modes"] == 1 and scores["coverage"] < 0.02 and scores["vendi"] < 1.001
    assert scores["recall"] < 0.01 and scores["mode_entropy"] == 0


def test_few_samples_leave_out_what_needs_neighbours() -> None:
    made, fake = digits()
    scores = Evaluator(made.reference, CPU).score(fake[:4])
    assert "coverage" not in scores and scores["frechet_distance"] > 0
