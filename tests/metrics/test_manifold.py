"""Neighbourhood metrics against numpy and scipy, closed forms and published values."""

import math
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist

from gantune.errors import UsageError
from gantune.metrics.manifold import (
    Manifold,
    compare_manifolds,
    compare_splits,
    knn_radii,
    nearest_neighbor_ratio,
    precision_recall_density_coverage,
    to_manifold,
    to_splits,
    vendi_of_kernel,
    vendi_score,
)

SHARES_TOLERANCE = 0.01
"""Absolute, of float32 features against float64: a pair near a ball's border may change sides."""

VENDI_TOLERANCE = 1e-5
"""Relative, of float32 features against float64."""

RATIO_TOLERANCE = 1e-4
"""Relative, of float32 features against float64."""


def normal(n: int, d: int, seed: int) -> torch.Tensor:
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(n, d, generator=rng, dtype=torch.float64)


def prdc(real: torch.Tensor, fake: torch.Tensor, k: int) -> dict[str, float]:
    """The definitions of Naeem et al., with open balls, by scipy."""
    x, y = real.double().numpy(), fake.double().numpy()
    between = cdist(x, y)
    radii, ours = np.sort(cdist(x, x))[:, k], np.sort(cdist(y, y))[:, k]
    inside = between < radii[:, None]
    return {
        "precision": inside.any(0).mean(),
        "recall": (between < ours).any(1).mean(),
        "density": inside.sum(0).mean() / k,
        "coverage": (between.min(1) < radii).mean(),
    }


@pytest.mark.parametrize("k", [1, 3, 5])
@pytest.mark.parametrize(("d", "shift"), [(2, 0.0), (64, 0.0), (64, 0.3), (64, 5.0), (300, 0.0)])
def test_equal_to_prdc(k: int, d: int, shift: float) -> None:
    """(300, 200 samples): fewer samples than features."""
    real, fake = normal(200, d, 0), 0.9 * normal(150, d, 1) + shift
    found = precision_recall_density_coverage(real, fake, k)
    assert found == pytest.approx(prdc(real, fake, k), abs=1e-12)


def test_equal_to_prdc_far_from_the_origin_and_with_constant_features() -> None:
    """|x|^2 + |y|^2 - 2 x.y without centring has no digit left at 1e7."""
    real, fake = normal(200, 8, 0), normal(150, 8, 1)
    real[:, 3] = fake[:, 3] = 1
    found = precision_recall_density_coverage(real + 1e7, fake + 1e7)
    assert found == pytest.approx(prdc(real, fake, 5), abs=SHARES_TOLERANCE)


def test_by_hand() -> None:
    real = torch.tensor([[0.0], [1.0], [3.0]])  # radii for k = 1: 1, 1, 2
    fake = torch.tensor([[0.5], [4.5], [9.0]])  # radii: 4, 4, 4.5
    assert knn_radii(real, 1).tolist() == [1, 1, 2]
    assert precision_recall_density_coverage(real, fake, 1) == {
        "precision": pytest.approx(2 / 3),  # 9 is in no ball
        "recall": 1.0,  # 4.5 - 4 = 0.5 > 0, but 0 lies within 4 of 0.5
        "density": 1.0,  # 0.5 lies in two balls, 4.5 in one: 3 / (1 * 3)
        "coverage": 1.0,
    }


@pytest.mark.parametrize(("n", "m", "k"), [(6, 6, 3), (20, 10, 5), (50, 50, 5)])
def test_expected_scores_of_the_data_itself(n: int, m: int, k: int) -> None:
    """Coverage 1 - prod_{i=1..k} (n - i) / (n + m - i): a ball is empty where the k nearest of the
    n + m - 1 other samples are all real. i is from 1, for a sample is not its own neighbour (gan.md
    4.2 leaves it open; from 0, n = m = 6 would give 0.909 for 0.939). Density 1.
    """

    def coverage(n: int, m: int, k: int) -> float:
        return 1 - math.prod((n - i) / (n + m - i) for i in range(1, k + 1))

    assert coverage(10_000, 10_000, 5) == pytest.approx(0.96877, abs=5e-6)  # published
    draws = [(normal(n, 3, 2 * i), normal(m, 3, 2 * i + 1)) for i in range(400)]
    scores = [precision_recall_density_coverage(real, fake, k) for real, fake in draws]
    for name, expected in (("coverage", coverage(n, m, k)), ("density", 1.0)):
        found = [score[name] for score in scores]
        error = float(np.std(found)) / math.sqrt(len(found))
        assert error < 0.02
        assert np.mean(found) == pytest.approx(expected, abs=3 * error)


def test_the_published_scores_of_normal_samples() -> None:
    """The README of ``prdc``, 10,000 of N(0, I_1000), at a tenth of the samples: high dimensions
    leave precision and recall near one half while coverage stays at its expectation."""
    found = precision_recall_density_coverage(normal(1000, 1000, 0), normal(1000, 1000, 1))
    assert found["coverage"] == pytest.approx(0.9688, abs=0.03)
    assert found["density"] == pytest.approx(1.0, abs=0.15)
    assert 0.3 < found["precision"] < 0.75 and 0.3 < found["recall"] < 0.75


@pytest.mark.parametrize("at", [0.0, 1.0, 1e4, 0.1])
def test_one_point_covers_itself(at: float) -> None:
    """prdc's issue 7: with open balls of radius 0, identical point masses are not covered."""
    point = torch.full((12, 7), at)
    found = precision_recall_density_coverage(point, point[:8], 5)
    assert found == {"precision": 1, "recall": 1, "density": pytest.approx(12 / 5), "coverage": 1}
    away = precision_recall_density_coverage(point, point[:8] + 1, 5)
    assert away == {"precision": 0, "recall": 0, "density": 0, "coverage": 0}


def test_repeated_points_cover_themselves() -> None:
    """Twenty real points, six times each; one is generated. Their distances to themselves round to
    about 1e-7 and not to 0."""
    real = (normal(20, 40, 0) * 3).repeat(6, 1)
    for point in real[:20]:
        found = precision_recall_density_coverage(real, point.expand(9, 40), 5)
        assert found["precision"] == 1
        assert found["coverage"] == found["recall"] == pytest.approx(1 / 20)


def test_a_sample_on_the_border_is_outside() -> None:
    """As in prdc; all numbers here are exact."""
    real, fake = torch.tensor([[-1.0], [1.0]]), torch.tensor([[3.0], [5.0]])  # all radii are 2
    found = precision_recall_density_coverage(real, fake, 1)
    assert found == {"precision": 0, "recall": 0, "density": 0, "coverage": 0}


def test_the_data_against_itself_is_as_in_prdc() -> None:
    real = normal(300, 16, 0)
    found = precision_recall_density_coverage(real, real.clone())
    assert found == {"precision": 1, "recall": 1, "density": pytest.approx(1), "coverage": 1}


@pytest.mark.parametrize("k", [0, 5, 6])
def test_more_neighbours_than_samples(k: int) -> None:
    message = "k = 1, got k = 0" if k == 0 else rf"k = {k} needs .* n >= {k + 1} samples"
    for call in (knn_radii, to_manifold):
        with pytest.raises(UsageError, match=message):
            call(normal(5, 2, 0), k)
    if k:
        with pytest.raises(UsageError, match=message):
            compare_manifolds(to_manifold(normal(9, 2, 0), k), normal(5, 2, 0))


def test_nothing_depends_on_the_size_of_blocks() -> None:
    real, fake = normal(150, 6, 0), normal(90, 6, 1)
    splits = to_splits(real, fake)
    for rows in (1, 7, 150, 1000):
        found = compare_manifolds(to_manifold(real, 5, rows), fake, rows)
        assert found == pytest.approx(precision_recall_density_coverage(real, fake), abs=1e-12)
        ratio = compare_splits(splits, fake * 0.9, rows)
        assert ratio == pytest.approx(compare_splits(splits, fake * 0.9), rel=1e-9)


def test_a_manifold_is_used_again() -> None:
    real, fakes = to_manifold(normal(100, 4, 0), 3), (normal(80, 4, 1), normal(60, 4, 2))
    copy = Manifold(
        *(value.clone() if isinstance(value, torch.Tensor) else value for value in real)
    )
    for fake in fakes:
        assert compare_manifolds(real, fake) == precision_recall_density_coverage(
            real.features, fake, 3
        )
    assert torch.equal(real.features, copy.features)
    assert torch.equal(real.squared_radii, copy.squared_radii)


# Vendi


def test_the_published_vendi_scores() -> None:
    samples = torch.tensor([0.0, 0, 10, 10, 20, 20])
    found = vendi_of_kernel((-(samples[:, None] - samples).abs()).exp())
    assert found == pytest.approx(2.9999, abs=1e-4)  # cut, not rounded: 3 - 4e-9
    kernel = torch.tensor([[1.0, 0.9, 0.0], [0.9, 1.0, 0.0], [0.0, 0.0, 1.0]])
    assert vendi_of_kernel(kernel) == pytest.approx(2.1573, abs=5e-5)


@pytest.mark.parametrize("n", [5, 19, 20, 21, 300])
def test_vendi_is_the_same_from_either_matrix(n: int) -> None:
    features = normal(n, 20, 0)
    units = torch.nn.functional.normalize(features)
    assert vendi_score(features) == pytest.approx(vendi_of_kernel(units @ units.T), rel=1e-9)


def test_vendi_bounds() -> None:
    eye = torch.eye(6)
    assert vendi_score(eye) == pytest.approx(6)  # orthogonal: each counts
    assert vendi_score(eye.repeat(9, 1)) == pytest.approx(6)  # copies do not
    assert vendi_score(eye[:1].expand(50, 6)) == pytest.approx(1)
    assert vendi_score(eye[:1]) == pytest.approx(1)
    assert vendi_score(eye * torch.arange(1, 7)) == pytest.approx(6)  # lengths do not


def test_vendi_of_features_without_a_direction() -> None:
    """Dead rectified features: alike, and unlike all others."""
    assert vendi_score(torch.zeros(7, 3)) == pytest.approx(1)
    mixed = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 0.0], [0.0, 0.0]])
    assert vendi_score(mixed) == pytest.approx(2)


def test_a_kernel_is_square() -> None:
    with pytest.raises(UsageError, match=r"square kernel, got \(3, 2\)"):
        vendi_of_kernel(torch.ones(3, 2))


# Memorization


@pytest.mark.parametrize(("n", "h"), [(1000, 1000), (1800, 200), (200, 1800)])
def test_the_nearest_neighbor_ratio_tells_copies_from_fresh_draws(n: int, h: int) -> None:
    train, holdout = normal(n, 8, 0), normal(h, 8, 1)
    fresh = [nearest_neighbor_ratio(normal(500, 8, i), train, holdout) for i in range(2, 8)]
    assert np.mean(np.asarray(fresh, dtype=float)) == pytest.approx(1, abs=0.05)
    copies = train[torch.randint(n, (500,), generator=torch.Generator().manual_seed(9))]
    assert nearest_neighbor_ratio(copies, train, holdout) == 0
    # Half copies: half the distance, whatever the sizes of the splits.
    half = nearest_neighbor_ratio(torch.cat([copies, normal(500, 8, 10)]), train, holdout)
    assert half == pytest.approx(0.5, abs=0.08)


def test_poor_samples_are_not_taken_for_copies() -> None:
    train, holdout = normal(500, 8, 0), normal(500, 8, 1)
    for poor in (10 * normal(300, 8, 2), normal(1, 8, 3).expand(300, 8) * 9):
        ratio = nearest_neighbor_ratio(poor, train, holdout)
        assert ratio is not None and ratio > 0.85


def test_what_cannot_be_told_of_memorization_is_none() -> None:
    data = normal(50, 3, 0)
    one = data[:1].expand(10, 3)
    assert nearest_neighbor_ratio(data, data, None) is None
    assert nearest_neighbor_ratio(data, data, one) is None  # held-out samples all alike
    assert nearest_neighbor_ratio(data, data, data) is None  # held out are the training samples
    with pytest.raises(UsageError, match="n >= 2"):
        nearest_neighbor_ratio(data, data, data[:1])


# Properties of all


REAL, HELD = normal(240, 12, 0), normal(200, 12, 1)
METRICS = {
    "manifold": partial(precision_recall_density_coverage, REAL),
    "vendi": lambda fake: {"vendi": vendi_score(fake)},
    "ratio": lambda fake: {"ratio": nearest_neighbor_ratio(fake, REAL, HELD)},
}
TOLERANCES = {
    "manifold": {"abs": SHARES_TOLERANCE},
    "vendi": {"rel": VENDI_TOLERANCE},
    "ratio": {"rel": RATIO_TOLERANCE},
}


@pytest.mark.parametrize("metric", METRICS)
def test_the_order_of_samples_does_not_matter(metric: str) -> None:
    call: Callable[[torch.Tensor], dict[str, float]] = METRICS[metric]
    fake = normal(180, 12, 2) * 1.1
    shuffled = fake[torch.randperm(180, generator=torch.Generator().manual_seed(0))]
    assert call(shuffled) == pytest.approx(call(fake), rel=1e-9)


@pytest.mark.parametrize("metric", METRICS)
def test_float32_agrees_with_float64_and_inputs_are_left_as_they_were(metric: str) -> None:
    call: Callable[[torch.Tensor], dict[str, float]] = METRICS[metric]
    fake = normal(180, 12, 2) * 1.1
    narrow, copy, real = fake.float(), fake.clone(), REAL.clone()
    assert call(narrow) == pytest.approx(call(fake), **TOLERANCES[metric])
    assert torch.equal(fake, copy) and torch.equal(narrow, copy.float())
    assert torch.equal(real, REAL)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_samples_that_are_not_finite_have_no_score(metric: str, value: float) -> None:
    fake = normal(180, 12, 2)
    fake[7, 3] = value
    with pytest.raises(UsageError, match="finite"):
        METRICS[metric](fake)


def test_a_collapse_shows_in_diversity_and_not_in_precision() -> None:
    tight = REAL[:1] + 0.01 * normal(200, 12, 5)
    found = precision_recall_density_coverage(REAL, tight)
    assert found["precision"] == 1 and found["coverage"] < 0.1 and found["recall"] < 0.1
    assert vendi_score(tight) < 1.2 < 5 < vendi_score(REAL)
