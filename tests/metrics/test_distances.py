"""Distances against closed forms and against scipy."""

import numpy as np
import pytest
import scipy.linalg
import torch

from gantune.errors import UsageError
from gantune.metrics.distances import (
    Moments,
    classifier_score,
    features_to_moments,
    frechet_distance,
    kernel_between,
    kernel_distance,
    kernel_within,
    matrix_root,
    moments_to_frechet,
)

FRECHET_TOLERANCE = 1e-8
"""Relative, in float64, against scipy's matrix root."""


KERNEL_TOLERANCE = 1e-4
"""Absolute, of float32 features against float64, for features of length about sqrt(d)."""


def normal(n: int, d: int, seed: int) -> torch.Tensor:
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(n, d, generator=rng, dtype=torch.float64)


def test_gaussians_with_known_distance() -> None:
    # N(0, diag(1, 4)) to N((3, 4), diag(9, 4)): 25 + (1 - 3)^2 + (2 - 2)^2 = 29.
    zero, far = torch.zeros(2, dtype=torch.float64), torch.tensor([3.0, 4.0], dtype=torch.float64)
    real = Moments(zero, torch.diag(torch.tensor([1.0, 4.0], dtype=torch.float64)))
    fake = Moments(far, torch.diag(torch.tensor([9.0, 4.0], dtype=torch.float64)))
    assert moments_to_frechet(real, matrix_root(real.covariance), fake) == pytest.approx(29)


def test_agrees_with_scipy() -> None:
    mix = normal(6, 6, 2)
    real, fake = normal(500, 6, 0), normal(400, 6, 1) @ mix + 0.3
    c1, c2 = np.cov(real.numpy().T), np.cov(fake.numpy().T)
    root = scipy.linalg.sqrtm(c1 @ c2).real
    gap = real.mean(0).numpy() - fake.mean(0).numpy()
    expected = gap @ gap + np.trace(c1 + c2 - 2 * root)
    assert frechet_distance(real, fake) == pytest.approx(expected, rel=FRECHET_TOLERANCE)


def test_is_zero_for_equal_sets_and_symmetric() -> None:
    a, b = normal(100, 5, 0), normal(120, 5, 1) * 2
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(a, b) == pytest.approx(frechet_distance(b, a), rel=1e-9)


def test_singular_covariances_need_no_help() -> None:
    flat = normal(50, 4, 0)
    flat[:, 3] = 1.0  # a feature without variance, and below: fewer samples than features
    few = normal(3, 4, 1)
    assert np.isfinite(frechet_distance(flat, few))
    shifted = flat.clone()
    shifted[:, 3] = 3.0
    assert frechet_distance(flat, shifted) == pytest.approx(4, rel=1e-6)


def test_inputs_are_left_as_they_were() -> None:
    a, b = normal(30, 3, 0), normal(30, 3, 1)
    copies = a.clone(), b.clone()
    frechet_distance(a, b)
    kernel_distance(a, b)
    assert torch.equal(a, copies[0]) and torch.equal(b, copies[1])


def test_moments_are_those_of_numpy() -> None:
    a = normal(40, 3, 0).float()
    moments = features_to_moments(a)
    np.testing.assert_allclose(moments.covariance, np.cov(a.double().numpy().T), rtol=1e-10)


def test_classifier_score_bounds() -> None:
    sure = torch.eye(5).repeat(20, 1) * 100
    assert classifier_score(sure) == pytest.approx(5)  # sure and even: the number of classes
    assert classifier_score(torch.zeros(50, 5)) == pytest.approx(1)  # never sure
    assert classifier_score(sure[:1].repeat(50, 1)) == pytest.approx(1)  # one class only


def test_kernel_distance_is_that_of_a_double_loop() -> None:
    real, fake = normal(7, 3, 0), normal(5, 3, 1) + 0.5
    k = [[(float(a @ b) / 3 + 1) ** 3 for b in [*real, *fake]] for a in [*real, *fake]]
    within = sum(k[i][j] for i in range(7) for j in range(7) if i != j) / 42
    within += sum(k[i][j] for i in range(7, 12) for j in range(7, 12) if i != j) / 20
    between = sum(k[i][j] for i in range(7) for j in range(7, 12)) / 35
    assert kernel_distance(real, fake) == pytest.approx(within - 2 * between, rel=1e-12)


def test_kernel_distance_is_unbiased() -> None:
    """Samples of the data score 0 on average, and so below 0 about half the time."""
    found = [kernel_distance(normal(60, 4, 2 * i), normal(40, 4, 2 * i + 1)) for i in range(300)]
    error = np.std(found) / np.sqrt(len(found))
    assert np.mean(found) == pytest.approx(0, abs=3 * error)
    assert 0.3 < np.mean(np.less(found, 0)) < 0.8
    # The biased estimate, with each sample's kernel to itself, is far outside that interval.
    bias = np.mean([((normal(60, 4, 2 * i).square().sum(1) / 4 + 1) ** 3).mean() for i in range(9)])
    assert bias / 60 > 10 * error


def test_kernel_distance_sees_a_collapse_and_is_symmetric() -> None:
    real = normal(200, 6, 0)
    collapsed, fresh = normal(1, 6, 1).expand(200, 6), normal(200, 6, 2)
    assert kernel_distance(real, collapsed) > 20 * abs(kernel_distance(real, fresh))
    assert kernel_distance(real, collapsed) == pytest.approx(kernel_distance(collapsed, real))


def test_kernel_means_do_not_depend_on_blocks_or_order() -> None:
    real, fake = normal(97, 5, 0), normal(61, 5, 1)
    for rows in (1, 10, 97, 1000):
        assert kernel_within(real, rows) == pytest.approx(kernel_within(real), rel=1e-12)
        expected = kernel_between(real, fake)
        assert kernel_between(real, fake, rows) == pytest.approx(expected, rel=1e-12)
    assert kernel_distance(real.flip(0), fake) == pytest.approx(kernel_distance(real, fake))


def test_kernel_distance_of_float32_features_agrees_with_float64() -> None:
    real, fake = normal(300, 64, 0), normal(300, 64, 1) * 1.2
    narrow = kernel_distance(real.float(), fake.float())
    assert narrow == pytest.approx(kernel_distance(real, fake), abs=KERNEL_TOLERANCE)


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (torch.zeros(1, 3), r"n >= 2 samples, got \(1, 3\)"),
        (torch.zeros(9), r"\(n, d\) features"),
        (torch.full((9, 3), float("nan")), "finite"),
        (torch.full((9, 3), float("inf")), "finite"),
    ],
)
def test_kernel_distance_of_what_are_no_features(features: torch.Tensor, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        kernel_distance(normal(9, 3, 0), features)
