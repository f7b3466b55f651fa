"""Mode statistics by hand and by their published floors."""

import math

import numpy as np
import pytest
import torch

from gantune.engine.mixtures import grid_centers, ring_centers, sample_mixture
from gantune.metrics.modes import counts_to_statistics, mixture_statistics


def test_the_ring_has_as_many_modes_as_it_says() -> None:
    """linspace(0, 2 pi, 8) with its end point makes seven: the bug of the published notebooks."""
    centers = ring_centers(8, 1.0)
    distances = np.linalg.norm(centers[:, None] - centers[None], axis=-1)
    np.fill_diagonal(distances, np.inf)
    assert distances.min() == pytest.approx(2 * math.sin(math.pi / 8), rel=1e-5)


def test_the_grid_is_that_of_the_paper() -> None:
    points = {(round(float(x)), round(float(y))) for x, y in grid_centers(5, 2.0)}
    assert points == {(x, y) for x in (-4, -2, 0, 2, 4) for y in (-4, -2, 0, 2, 4)}


def test_a_histogram_by_hand() -> None:
    found = counts_to_statistics(torch.tensor([3, 1, 0, 0]), torch.full((4,), 0.25))
    assert found.modes == 2
    assert found.mode_histogram == [0.75, 0.25, 0, 0]
    assert found.mode_kl == pytest.approx(0.75 * math.log(3) + 0.25 * math.log(1))
    entropy = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    assert found.mode_entropy == pytest.approx(entropy / math.log(4))


@pytest.mark.parametrize(("modes", "largest"), [(8, 2.079), (25, 3.219), (1000, 6.908)])
def test_one_mode_is_the_largest_divergence(modes: int, largest: float) -> None:
    counts = torch.zeros(modes, dtype=torch.long)
    counts[3] = 100
    found = counts_to_statistics(counts, torch.full((modes,), 1 / modes, dtype=torch.float64))
    assert found.mode_kl == pytest.approx(largest, abs=5e-4)  # ln K
    assert found.mode_entropy == 0


def test_an_empty_histogram_has_no_divergence() -> None:
    found = mixture_statistics(torch.full((10, 2), 50.0), torch.zeros(3, 2), 0.1)
    assert (found.modes, found.high_quality) == (0, 0)
    assert found.mode_kl is None and found.mode_entropy is None and found.mode_histogram is None


def test_real_data_reach_the_published_ceiling_and_floor() -> None:
    """1 - exp(-4.5) = 98.89 % within 3 std in 2-D; KL floor (K - 1) / 2n (gan.md 1.8)."""
    centers = ring_centers(8, 1.0)
    shares, divergences = [], []
    for seed in range(40):
        points, _ = sample_mixture(centers, 0.01, 2500, np.random.default_rng(seed))
        found = mixture_statistics(torch.from_numpy(points), torch.from_numpy(centers), 0.01)
        assert found.modes == 8
        shares.append(found.high_quality)
        divergences.append(found.mode_kl)
    ceiling = 1 - math.exp(-4.5)
    error = math.sqrt(ceiling * (1 - ceiling) / (40 * 2500))
    assert np.mean(shares) == pytest.approx(ceiling, abs=4 * error)
    assert np.mean(divergences) == pytest.approx(7 / 5000, rel=0.35)
