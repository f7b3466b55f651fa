"""Mode statistics by hand and by their published floors."""

import math

import numpy as np
import pytest
import torch

from gantune.engine.mixtures import grid_centers, ring_centers, sample_mixture
from gantune.errors import UsageError
from gantune.metrics.modes import (
    PAIRED,
    PROTOCOLS,
    Protocol,
    counts_to_statistics,
    mean_pair_distance,
    mixture_statistics,
    mode_statistics,
    pair_distance_ratio,
)


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
    # The mean of the two histograms is (1/2, 1/4, 1/8, 1/8).
    to_middle = 0.75 * math.log(1.5), 0.25 * (math.log(0.5) + math.log(1) + 2 * math.log(2))
    assert found.mode_jsd == pytest.approx(sum(to_middle) / 2)
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
    assert found.mode_jsd is None


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


def test_one_class_has_no_entropy_to_compare_with() -> None:
    found = counts_to_statistics(torch.tensor([7]), torch.ones(1, dtype=torch.float64))
    assert (found.modes, found.mode_kl, found.mode_jsd, found.mode_entropy) == (1, 0, 0, None)


def test_histograms_that_share_no_mode_are_ln_2_apart() -> None:
    data = torch.tensor([0.0, 0.5, 0.5], dtype=torch.float64)
    assert counts_to_statistics(torch.tensor([4, 0, 0]), data).mode_jsd == pytest.approx(
        math.log(2)
    )


STD = 0.1
TWO = torch.tensor([[0.0, 0.0], [2.0, 0.0]])
# In standard deviations from the first mean: inside, on the border, in the corner, far; then one
# point at the second mean.
POINTS = torch.tensor([[1, 0], [0, 3], [2.9, 2.9], [0, -8], [20, 0]]) * STD


@pytest.mark.parametrize(
    ("protocol", "std", "good", "histogram"),
    [
        ("pacgan", STD * (1 - 1e-6), 2, [1 / 2, 1 / 2]),
        ("veegan", STD * (1 + 1e-6), 3, [2 / 3, 1 / 3]),
        ("self_conditioned", STD * (1 - 1e-6), 3, [4 / 5, 1 / 5]),
    ],
)
def test_protocols_by_hand(
    protocol: Protocol, std: float, good: int, histogram: list[float]
) -> None:
    found = mode_statistics(POINTS, TWO, std, protocol)
    assert found.modes == 2
    assert found.high_quality == pytest.approx(good / 5)
    assert found.mode_histogram == pytest.approx(histogram)


def test_only_veegan_includes_the_border() -> None:
    border = torch.tensor([[3.0, 0.0]])
    good = {p: mode_statistics(border, TWO[:1], 1.0, p).high_quality for p in PROTOCOLS}
    assert good == {"pacgan": 0, "veegan": 1, "self_conditioned": 0}


def test_a_mode_that_only_bad_samples_are_near_is_not_reached() -> None:
    """Self-conditioned GAN's histogram counts such samples, its modes do not."""
    stray = torch.tensor([[0.0, 0.0], [1.5, 0.0]])
    found = mode_statistics(stray, TWO, STD, "self_conditioned")
    assert (found.modes, found.mode_histogram, found.mode_kl) == (1, [0.5, 0.5], 0)


@pytest.mark.parametrize(
    ("protocol", "ceiling"),
    [("pacgan", 1 - math.exp(-4.5)), ("veegan", 0.98889), ("self_conditioned", 0.9973002**2)],
)
def test_the_data_itself_reaches_the_ceiling_of_each_protocol(
    protocol: Protocol, ceiling: float
) -> None:
    centers = grid_centers(5, 2.0)
    points, _ = sample_mixture(centers, 0.05, 100_000, np.random.default_rng(3))
    found = mode_statistics(torch.from_numpy(points), torch.from_numpy(centers), 0.05, protocol)
    error = math.sqrt(ceiling * (1 - ceiling) / 100_000)
    assert found.high_quality == pytest.approx(ceiling, abs=4 * error)


@pytest.mark.parametrize(
    ("samples", "std", "protocol", "message"),
    [
        (TWO, 0.0, "pacgan", "std is above 0, got 0.0"),
        (TWO, 0.1, "biggan", "'biggan': one of pacgan, veegan, self_conditioned"),
        (TWO * math.nan, 0.1, "pacgan", "finite"),
        (TWO[:0], 0.1, "pacgan", "n >= 1"),
    ],
)
def test_what_has_no_modes(
    samples: torch.Tensor, std: float, protocol: Protocol, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        mode_statistics(samples, TWO, std, protocol)


def uniform(n: int, d: int, seed: int) -> torch.Tensor:
    return torch.rand(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_the_mean_pair_distance_is_that_over_all_pairs() -> None:
    features = uniform(300, 5, 0) + 100
    expected = float(torch.pdist(features).mean())
    assert mean_pair_distance(features) == pytest.approx(expected, rel=1e-9)
    assert mean_pair_distance(features.flip(0)) == pytest.approx(expected, rel=1e-9)
    assert mean_pair_distance(features.float()) == pytest.approx(expected, rel=1e-4)


def test_many_samples_are_thinned_without_regard_to_their_order() -> None:
    """In a line, neighbours are near: a run of rows would give a third of the distance."""
    line = torch.linspace(0, 1, 3 * PAIRED)[:, None]
    assert mean_pair_distance(line) == pytest.approx(1 / 3, rel=0.05)
    assert mean_pair_distance(line) == mean_pair_distance(line)


def test_the_pair_distance_ratio_falls_with_the_spread() -> None:
    real = uniform(500, 8, 0)
    assert pair_distance_ratio(real, uniform(400, 8, 1)) == pytest.approx(1, abs=0.03)
    assert pair_distance_ratio(real, uniform(400, 8, 1) * 0.2) == pytest.approx(0.2, abs=0.01)
    assert pair_distance_ratio(real, real[:1].expand(9, 8)) == 0
    for n in (7, 100, 333):  # alike is exactly 0, though the mean of copies is rounded
        assert pair_distance_ratio(uniform(1, 64, n).repeat(n, 1), real) is None
    with pytest.raises(UsageError, match="n >= 2"):
        pair_distance_ratio(real, real[:1])


def test_inputs_of_mode_metrics_are_left_as_they_were() -> None:
    points, copy = POINTS.double(), POINTS.double()
    mode_statistics(points, TWO, STD)
    pair_distance_ratio(points, points)
    assert torch.equal(points, copy)
