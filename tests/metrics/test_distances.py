"""Distances against closed forms and against scipy."""

import numpy as np
import pytest
import scipy.linalg
import torch

from gantune.metrics.distances import (
    Moments,
    classifier_score,
    features_to_moments,
    frechet_distance,
    matrix_root,
    moments_to_frechet,
)

FRECHET_TOLERANCE = 1e-8
"""Relative, in float64, against scipy's matrix root."""


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
