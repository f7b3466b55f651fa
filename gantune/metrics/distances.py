"""Distances between samples in a feature space."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from gantune.errors import UsageError

ROWS = 128
"""Rows of a pairwise matrix held at a time: the block of 1,000 columns stays in the cache."""


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


def to_wide(
    features: Tensor, least: int, metric: str, dtype: torch.dtype = torch.float64
) -> Tensor:
    """Checks (n, d) features, n >= ``least``, and returns them as precise as is asked.

    Raises:
        UsageError: Too few samples, another shape, or a value that is NaN or infinite: a number
            that counts such samples would look like a result.
    """
    if features.ndim != 2 or len(features) < least:
        shape = tuple(features.shape)
        raise UsageError(f"{metric} needs (n, d) features of n >= {least} samples, got {shape}")
    if not bool(torch.isfinite(features).all()):
        raise UsageError(f"{metric} needs finite features: score no samples with NaN or infinity")
    return features.to(dtype)


def squared_distances(x: Tensor, y: Tensor, rows: int = ROWS) -> Iterator[Tensor]:
    """Yields the (n, m) squared Euclidean distances of features in blocks of rows.

    Both are centred on the mean of ``x``, so that |x|^2 + |y|^2 - 2 x.y loses no digits to an
    offset they share. Rounding can leave a tiny negative number where two points are equal.

    Args:
        x: (n, d).
        y: (m, d).
        rows: Rows per block.
    """
    origin = x.mean(0)
    x, y = x - origin, y - origin
    lengths = y.square().sum(1)
    for part in x.split(rows):
        block = torch.addmm(lengths, part, y.T, alpha=-2)
        yield block.add_(part.square().sum(1, keepdim=True))


def kernel_distance(real: Tensor, fake: Tensor) -> float:
    """Unbiased squared MMD with the kernel (x.y / d + 1)^3 on whole sets, without subsets.

    With Inception-v3's features this is the KID (Binkowski et al. 2018, arXiv 1801.01401; the
    estimator is equation 3 of Gretton et al. 2012). Its expectation is 0 for samples of the
    data itself, so that it is negative about half the time there.

    Args:
        real: (n, d) features, n >= 2.
        fake: (m, d) features, m >= 2.

    Raises:
        UsageError: Too few samples, or a value that is not finite.
    """
    return kernel_within(real) + kernel_within(fake) - 2 * kernel_between(real, fake)


def kernel_within(features: Tensor, rows: int = ROWS, dtype: torch.dtype = torch.float64) -> float:
    """Mean kernel of two different samples of (n, d) features, n >= 2; once for the real side."""
    wide = to_wide(features, 2, "kernel_distance", dtype)
    own = (wide.square().sum(1).double() / wide.shape[1] + 1).pow(3).sum()
    n = len(wide)
    return float((_kernel_sum(wide, wide, rows) - own) / (n * (n - 1)))


def kernel_between(
    real: Tensor, fake: Tensor, rows: int = ROWS, dtype: torch.dtype = torch.float64
) -> float:
    """Mean kernel of a sample of (n, d) and one of (m, d) features."""
    x, y = (to_wide(side, 1, "kernel_distance", dtype) for side in (real, fake))
    return float(_kernel_sum(x, y, rows) / (len(x) * len(y)))


def _kernel_sum(x: Tensor, y: Tensor, rows: int) -> Tensor:
    one, total = x.new_ones(1), x.new_zeros(())
    for part in x.split(rows):
        base = torch.addmm(one, part, y.T, alpha=1 / x.shape[1])
        # Two products: pow(3) takes three times as long.
        total += (base * base).mul_(base).sum()
    return total
