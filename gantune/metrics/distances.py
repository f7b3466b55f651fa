"""Distances between samples in a feature space."""

from typing import NamedTuple

import torch
from torch import Tensor


class Moments(NamedTuple):
    """Mean (d,) and covariance (d, d) of features, in float64."""

    mean: Tensor
    covariance: Tensor


def features_to_moments(features: Tensor) -> Moments:
    """Mean and unbiased covariance of (n, d) features, n >= 2."""
    wide = features.double()
    mean = wide.mean(0)
    centred = wide - mean
    covariance: Tensor = centred.T @ centred / (len(wide) - 1)
    return Moments(mean, covariance)


def matrix_root(covariance: Tensor) -> Tensor:
    """The symmetric square root of a positive semi-definite (d, d) matrix."""
    values, vectors = torch.linalg.eigh(covariance)
    root: Tensor = (vectors * values.clamp(min=0).sqrt()) @ vectors.T
    return root


def frechet_distance(real: Tensor, fake: Tensor) -> float:
    """Fréchet distance between Gaussians fitted to two sets of features.

    ||m_r - m_f||^2 + Tr(C_r + C_f - 2 (C_r C_f)^(1/2)) (Heusel et al. 2017, arXiv 1706.08500,
    equation 6).

    Args:
        real: (n, d) features, n >= 2.
        fake: (m, d) features, m >= 2.
    """
    moments = features_to_moments(real)
    return moments_to_frechet(moments, matrix_root(moments.covariance), features_to_moments(fake))


def moments_to_frechet(real: Moments, real_root: Tensor, fake: Moments) -> float:
    """The same from moments.

    Tr (C_r C_f)^(1/2) is the sum of the roots of the eigenvalues of C_r^(1/2) C_f C_r^(1/2), which
    is symmetric: no complex matrix root, nothing to add to a singular covariance.

    Args:
        real: Moments of the data.
        real_root: :func:`matrix_root` of its covariance, computed once.
        fake: Moments of the samples.
    """
    product = real_root @ fake.covariance @ real_root
    cross = torch.linalg.eigvalsh((product + product.T) / 2).clamp(min=0).sqrt().sum()
    difference = (real.mean - fake.mean).square().sum()
    traces = torch.trace(real.covariance) + torch.trace(fake.covariance)
    # Rounding can leave a tiny negative number where the two are equal.
    return max(float(difference + traces - 2 * cross), 0.0)


def classifier_score(logits: Tensor) -> float:
    """exp E KL(p(y|x) || p(y)) of (n, K) logits: 1 to K (Salimans et al. 2016, arXiv 1606.03498).

    With Inception-v3's logits this is the Inception Score.
    """
    conditional = logits.double().log_softmax(1)
    marginal = conditional.exp().mean(0).log()
    return float((conditional.exp() * (conditional - marginal)).sum(1).mean().exp())
